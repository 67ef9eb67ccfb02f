"""The results: their JSON file, how parts of several runs become one, and the table. Pure Python."""

import json
from pathlib import Path

import targets

KEY = ("mask", "tokens", "head_dim", "direction")


def save(path, runs, rows):
    """runs: what each run was made with. A row's "run" is an index into them."""
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    head = json.dumps({"runs": runs}, indent=2)[:-2]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(f'{head},\n  "rows": [\n{lines}\n  ]\n}}\n')
    part.replace(path)  # a reader never sees half a file


def load(path):
    content = json.loads(Path(path).read_text())
    return content["runs"], content["rows"]


def merge(parts):
    """(runs, rows) of several files. Where two have the same row, the later one counts, whole: ratios are of one run."""
    runs, by_key = [], {}
    for path in parts:
        part_runs, part_rows = load(path)
        for row in part_rows:
            by_key[tuple(row[name] for name in KEY)] = {**row, "run": row["run"] + len(runs)}
        runs += part_runs
    order = list(dict.fromkeys(key[0] for key in by_key))
    rows = [by_key[key] for key in sorted(by_key, key=lambda key: (-key[2], order.index(key[0]), key[1], key[3] != "forward"))]
    return runs, rows


def ceiling_of(run):
    """The matrix product rate of a run: the mean of before and after, as far as it got."""
    rates = [run[when]["cublas_bf16_8192_tflops"] for when in ("ceilings_before", "ceilings_after") if run.get(when)]
    return sum(rates) / len(rates)


def finish(row, ceiling):
    """Adds what follows from the measured times: rates, the ratio to the best peer, the targets."""
    factor = 4 if row["direction"] == "forward" else 10
    operations = factor * row["area"] * row["head_dim"] * row["num_heads_q"]
    row["tflops"] = {who: round(operations / ms / 1e9, 1) for who, ms in row["ms"].items()}
    peers = [rate for who, rate in row["tflops"].items() if who != "ours"]
    if peers and "ours" in row["tflops"]:
        row["ratio_to_best_peer"] = round(row["tflops"]["ours"] / max(peers), 3)
    row["targets"] = targets.judged(row, ceiling)
    return row


COLUMNS = ("ours", "cudnn", "flex", "fa3", "ffa")
HEADER = (f"{'mask':20} {'tokens':>7} {'dim':>4} {'pass':9} "
          + " ".join(f"{who + '*' * (who in ('fa3', 'ffa')):>7}" for who in COLUMNS) + f" {'ratio':>6}  targets")


def line(row, ceiling):
    recorded = targets.recorded_rates(row["mask"], row["tokens"], row["head_dim"], row["direction"], ceiling)
    rates = {**row["tflops"], **recorded}
    cells = " ".join(f"{rates[who]:7.1f}" if who in rates else f"{'-':>7}" for who in COLUMNS)
    ratio = f"{row['ratio_to_best_peer']:6.2f}" if "ratio_to_best_peer" in row else f"{'-':>6}"
    marks = " ".join(
        f"{'ok' if t['met'] else 'MISSED'} {t['reached'] / t['needed']:.2f} of {t['against']}" for t in row["targets"])
    wrong = "" if row.get("correct", True) else f"  WRONG {row['errors']}"
    return f"{row['mask']:20} {row['tokens']:7} {row['head_dim']:4} {row['direction']:9} {cells} {ratio}  {marks}{wrong}"


FOOTER = "* recorded earlier on another machine of the same kind, corrected by the ratio of the two cuBLAS ceilings"
