"""Tests of what needs no GPU: `python3 -m unittest discover -s benchmarks/ffa`."""

import random
import tempfile
import unittest
from pathlib import Path

import masks
import report
import targets


def count(bands, rows, cols):
    return sum(
        any(r0 <= r < r1 and c0 <= c < c1 and lo <= c - r <= hi for r0, r1, c0, c1, lo, hi in bands)
        for r in range(rows)
        for c in range(cols)
    )


class MaskTest(unittest.TestCase):
    def test_the_area_of_a_band_is_the_number_of_its_cells(self):
        random.seed(1)
        for _ in range(2000):
            row0, col0 = random.randrange(6), random.randrange(6)
            lo = random.choice([-masks.UNBOUNDED, random.randrange(-9, 9)])
            hi = random.choice([masks.UNBOUNDED, random.randrange(-9, 9)])
            band = (row0, random.randrange(12), col0, random.randrange(12), lo, hi)
            self.assertEqual(masks.band_area(band), count([band], 12, 12), band)

    def test_the_masks_of_the_table_do_not_overlap(self):
        for build in masks.MASKS.values():
            mask = build(1024)
            self.assertLessEqual(masks.area(mask), 1024**2)
        self.assertEqual(masks.area(masks.full(1024)), 1024**2)
        self.assertEqual(masks.area(masks.causal(1024)), 1024 * 1025 // 2)

    def test_a_row_of_the_sliding_window_sees_itself_and_the_rows_before(self):
        bands = masks.sliding_window(4096).bands()
        for row in (0, 5, 1023, 1024, 1025, 4095):
            seen = [c for c in range(4096) if any(
                r0 <= row < r1 and c0 <= c < c1 and lo <= c - row <= hi for r0, r1, c0, c1, lo, hi in bands)]
            self.assertEqual(seen, list(range(max(0, row - 1024), row + 1)))

    def test_no_document_is_longer_than_a_quarter(self):
        for tokens in (1024, 2048, 4096, 8192, 16384, 32768, 65536):
            lengths = masks.document_lengths(tokens)
            self.assertEqual(sum(lengths), tokens)
            self.assertLessEqual(max(lengths), tokens // 4)


def row(mask="causal", tokens=8192, head_dim=128, direction="forward", **ms):
    area = masks.area(masks.MASKS[mask](tokens))
    row = {"mask": mask, "tokens": tokens, "head_dim": head_dim, "direction": direction, "area": area, "num_heads_q": 64}
    return {**report.finish({**row, "ms": ms}, 761), "run": 0}


class ReportTest(unittest.TestCase):
    def test_rates_count_the_operations_of_the_mask(self):
        operations = 4 * 64 * 128 * 8192 * 8193 / 2
        self.assertAlmostEqual(row(ours=2.0)["tflops"]["ours"], operations / 2e9, delta=0.05)
        self.assertAlmostEqual(row(ours=2.0, direction="backward")["tflops"]["ours"], 2.5 * operations / 2e9, delta=0.05)

    def test_the_ratio_is_to_the_fastest_peer(self):
        self.assertEqual(row(ours=2.0, cudnn=3.0, flex=4.0)["ratio_to_best_peer"], 1.5)

    def test_targets_are_met_or_missed(self):
        self.assertEqual([t["met"] for t in row(ours=2.0, cudnn=2.2)["targets"]], [True])
        self.assertEqual([t["met"] for t in row(ours=2.0, cudnn=2.0)["targets"]], [False])
        varlen = row("varlen-causal", ours=0.2, flex=0.5)["targets"]
        self.assertEqual([t["against"] for t in varlen], ["flex", "fa3 (recorded)"])

    def test_recorded_rates_follow_the_ceiling_of_the_run(self):
        self.assertEqual(targets.recorded_rates("full", 8192, 128, "forward", 2 * 761)["fa3"], 2 * 712)
        self.assertEqual(targets.recorded_rates("full", 8192, 64, "forward", 761), {})

    def test_of_two_parts_the_later_one_counts(self):
        run = {"ceilings_before": {"cublas_bf16_8192_tflops": 700}}
        with tempfile.TemporaryDirectory() as folder:
            first, second = Path(folder) / "a.json", Path(folder) / "b.json"
            report.save(first, [run], [row(ours=1.0), row(ours=1.0, tokens=1024)])
            report.save(second, [run], [row(ours=2.0), row(ours=2.0, head_dim=64)])
            runs, rows = report.merge([first, second])
        self.assertEqual(len(runs), 2)
        self.assertEqual([(r["head_dim"], r["tokens"], r["ms"]["ours"], r["run"]) for r in rows],
                         [(128, 1024, 1.0, 0), (128, 8192, 2.0, 1), (64, 8192, 2.0, 1)])


if __name__ == "__main__":
    unittest.main()
