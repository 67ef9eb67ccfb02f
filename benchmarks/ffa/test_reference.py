"""Tests of what needs PyTorch, but no GPU. Without PyTorch they are skipped."""

import random
import unittest

try:
    import torch
except ImportError:
    raise unittest.SkipTest("PyTorch is not installed")

import masks
import peers
import reference


def random_bands(count, rows, cols):
    bands = []
    for _ in range(count):
        row0, row1 = sorted(random.randrange(rows + 1) for _ in range(2))
        col0, col1 = sorted(random.randrange(cols + 1) for _ in range(2))
        lo = random.choice([-masks.UNBOUNDED, random.randrange(-cols, cols)])
        hi = random.choice([masks.UNBOUNDED, random.randrange(-cols, cols)])
        bands.append((row0, row1, col0, col1, lo, hi))
    return bands


def matrix(bands, rows, cols):
    r, c = torch.arange(rows).unsqueeze(1), torch.arange(cols)
    seen = torch.zeros(rows, cols, dtype=torch.bool)
    for row0, row1, col0, col1, lo, hi in bands:
        seen |= (r >= row0) & (r < row1) & (c >= col0) & (c < col1) & (c - r >= lo) & (c - r <= hi)
    return seen


class ReferenceTest(unittest.TestCase):
    def setUp(self):
        random.seed(2)
        torch.manual_seed(2)

    def test_rows_see_the_union_of_the_bands(self):
        for _ in range(50):
            bands = random_bands(random.randrange(1, 6), 17, 23)
            packed = torch.tensor(bands)
            rows = torch.arange(17)
            self.assertTrue(torch.equal(reference.attended(packed, rows, 23), matrix(bands, 17, 23)))
            flipped = reference.attended(reference.transposed(packed), torch.arange(23), 17)
            self.assertTrue(torch.equal(flipped, matrix(bands, 17, 23).T))

    def test_it_agrees_with_a_dense_float64_computation(self):
        for group in (1, 4):
            bands = random_bands(3, 33, 41)
            q, k, v, grad_out = (torch.randn(n, h, 16) for n, h in ((33, 2 * group), (41, 2), (41, 2), (33, 2 * group)))
            seen = matrix(bands, 33, 41)
            dense = [x.double().requires_grad_() for x in (q, k, v)]
            keys, values = (x.repeat_interleave(group, 1) for x in dense[1:])
            scores = torch.einsum("qhd,khd->hqk", dense[0], keys) / 4
            weights = scores.masked_fill(~seen, -torch.inf).softmax(2).nan_to_num()
            out = torch.einsum("hqk,khd->qhd", torch.where(seen, weights, 0), values)
            out.backward(grad_out.double())
            bands = torch.tensor(bands)
            rows, cols = torch.tensor([0, 3, 20, 32]), torch.tensor([1, 2, 40])
            found, lse, delta, grad_q = reference.attend_rows(q, k, v, grad_out, bands, rows)
            torch.testing.assert_close(found, out[rows].float(), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(grad_q, dense[0].grad[rows].nan_to_num().float(), atol=1e-5, rtol=1e-4)
            _, lse, delta, _ = reference.attend_rows(q, k, v, grad_out, bands, torch.arange(33))
            grads = reference.attend_cols(q, k, v, grad_out, lse, delta, bands, cols)
            for actual, tensor in zip(grads, dense[1:]):
                torch.testing.assert_close(actual, tensor.grad[cols].nan_to_num().float(), atol=1e-5, rtol=1e-4)


class FlexTest(unittest.TestCase):
    def test_block_masks_are_those_that_pytorch_makes(self):
        from torch.nn.attention.flex_attention import create_block_mask

        for name, build in masks.MASKS.items():
            mask = build(2048)
            ours = peers.flex_block_mask(mask, "cpu")
            if ours is None:
                continue
            theirs = create_block_mask(peers.flex_mask_rule(mask, "cpu"), None, None, 2048, 2048, device="cpu")
            for field in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks",
                          "full_q_num_blocks"):
                self.assertTrue(torch.equal(getattr(ours, field), getattr(theirs, field)), f"{name} {field}")


if __name__ == "__main__":
    unittest.main()
