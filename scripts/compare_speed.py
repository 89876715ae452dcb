#!/usr/bin/env python3
"""Times Groma beside llama.cpp and the PyTorch stack, side by side in one run.

    python3 -m venv /tmp/llama && /tmp/llama/bin/pip install llama-cpp-python==0.3.36 gguf numpy
    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.11.0 torchvision==0.26.0 \
        transformers==4.46.3
    build/bin/groma init --config wide.json --out /tmp/wide   # the 7B model's sizes, fewer layers
    python3 scripts/compare_speed.py --model /tmp/wide --llama /tmp/llama/bin/python \
        --torch /tmp/torch/bin/python [--threads 4 2] [--rounds 3] [--busy]

All sides run the sizes of the model's config.json with random weights, by turns, ROUNDS times for each
number of threads; each figure is the fastest of all rounds, with the cores that other programs kept
busy meanwhile. llama.cpp reads its own formats of the same bits; of the PyTorch stack, which is the
original's computation in transformers, the proposer is left out, to its advantage. --busy repeats the
language rows with one core kept busy by another program. The last table is Markdown.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POSITIONS = 512  # of the prompt
STEPS = 16  # tokens generated
FORMATS = {"int4": "Q4_0", "int8": "Q8_0", "bf16": "BF16"}  # ours: llama.cpp's


def say(text):
    print(text, file=sys.stderr, flush=True)


def language_sizes(model):
    config = json.loads((Path(model) / "config.json").read_text())["llm_cfg"]
    return {key: config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers",
                                         "num_attention_heads", "vocab_size")}


# --- measuring ------------------------------------------------------------------------------------


class Load:
    """Cores that other programs kept busy since it was made."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        with open("/proc/stat") as file:
            fields = [int(x) for x in file.readline().split()[1:9]]
        own = os.times()
        busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        return busy, own.user + own.system, time.monotonic()

    def others(self):
        busy, own, wall = (b - a for a, b in zip(self.start, self.now()))
        return max(0.0, (busy - own) / wall)


def timed(name, repeats, work):
    """Prints a row: the fastest of `repeats` runs after one for nothing."""
    work()
    load, best = Load(), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"name": name, "seconds": best, "others": load.others()}), flush=True)


# --- llama.cpp ------------------------------------------------------------------------------------


def write_gguf(path, sizes, kind):
    """A llama of random weights without a vocabulary, its matrices in the format `kind`."""
    import gguf
    import numpy

    quantization = getattr(gguf.GGMLQuantizationType, kind)
    hidden, wide = sizes["hidden_size"], sizes["intermediate_size"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(sizes["vocab_size"])
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(sizes["num_hidden_layers"])
    writer.add_feed_forward_length(wide)
    writer.add_rope_dimension_count(hidden // sizes["num_attention_heads"])
    writer.add_head_count(sizes["num_attention_heads"])
    writer.add_head_count_kv(sizes["num_attention_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("no_vocab")
    random = numpy.random.default_rng(1)
    made = {}  # shape -> its encoded weights: speed does not depend on which numbers they are

    def matrix(name, rows, columns):
        if (rows, columns) not in made:
            values = random.standard_normal((rows, columns), dtype=numpy.float32) * 0.02
            made[rows, columns] = gguf.quants.quantize(values, quantization)
        writer.add_tensor(name, made[rows, columns], raw_dtype=quantization)

    def vector(name):
        writer.add_tensor(name, numpy.ones(hidden, dtype=numpy.float32))

    matrix("token_embd.weight", sizes["vocab_size"], hidden)
    matrix("output.weight", sizes["vocab_size"], hidden)
    vector("output_norm.weight")
    for i in range(sizes["num_hidden_layers"]):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{i}.{name}.weight", hidden, hidden)
        for name in ("ffn_gate", "ffn_up"):
            matrix(f"blk.{i}.{name}.weight", wide, hidden)
        matrix(f"blk.{i}.ffn_down.weight", hidden, wide)
        vector(f"blk.{i}.attn_norm.weight")
        vector(f"blk.{i}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_worker(args):
    import llama_cpp

    path = Path(args.folder) / f"{args.kind}.gguf"
    if not path.exists():
        say(f"writing {path}")
        write_gguf(str(path) + ".part", args.sizes, args.kind)
        os.rename(str(path) + ".part", path)
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_load_from_file(str(path).encode(),
                                                 llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 1024
    settings.n_threads = settings.n_threads_batch = args.threads
    context = llama_cpp.llama_init_from_model(model, settings)
    memory = llama_cpp.llama_get_memory(context)

    def feed(count):
        tokens = (llama_cpp.llama_token * count)(*[(7 * i + 1) % 1000 for i in range(count)])
        if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, count)) != 0:
            sys.exit("llama.cpp: decoding failed")
        llama_cpp.llama_get_logits_ith(context, -1)  # waits for the result

    def prefill():
        llama_cpp.llama_memory_clear(memory, True)
        feed(POSITIONS)

    def decode():
        llama_cpp.llama_memory_seq_rm(memory, 0, POSITIONS, -1)
        for _ in range(STEPS):
            feed(1)

    timed("prefill", args.repeats, prefill)
    timed("decode", args.repeats, decode)


# --- PyTorch --------------------------------------------------------------------------------------


def random_weights(module):
    """Fills a module that was made without weights; speed does not depend on which they are."""
    import torch

    module = module.to_empty(device="cpu").to(torch.bfloat16)
    for tensor in list(module.parameters()) + list(module.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(-0.02, 0.02)
    return module.eval()


class RegionPeer:
    """The region encoder as the original computes it: upsampled first, then convolved."""

    def __init__(self, width):
        import torch
        from torch import nn

        def modules():
            self.input_conv = nn.ModuleList(nn.Conv2d(width + 2, width, 1) for _ in range(3))
            self.fuse_convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, bias=False)
                                            for _ in range(5))
            self.norms = nn.ModuleList(nn.GroupNorm(64, width) for _ in range(5))
            self.pconvs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(3))
            self.flatten_linear = nn.Linear(width * 14 * 14, 1024)
            return nn.ModuleList([self.input_conv, self.fuse_convs, self.norms, self.pconvs,
                                  self.flatten_linear])

        with torch.device("meta"):
            everything = modules()
        random_weights(everything)

    @staticmethod
    def resize(x, side):
        import torch.nn.functional as functional
        return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=True)

    def fuse(self, maps):
        import torch

        levels = []
        for conv, x, scale in zip(self.input_conv, maps, (4, 2, 1)):
            side = scale * x.shape[-1]
            line = torch.linspace(-1, 1, side, dtype=x.dtype)
            grid = torch.stack(torch.meshgrid(line, line, indexing="xy"))[None]
            levels.append(conv(torch.cat([self.resize(x, side), grid], 1)))
        width = levels[0].shape[1]
        for conv, norm in zip(self.fuse_convs, self.norms):
            mixed = []
            for i, own in enumerate(levels):
                side = own.shape[-1]
                coarser, finer = levels[min(i + 1, 2)], levels[max(i - 1, 0)]
                mixed.append(torch.cat(
                    [own[:, :width // 2], self.resize(coarser[:, 3 * width // 4:], side),
                     self.resize(finer[:, width // 2:3 * width // 4], side)], 1))
            levels = [torch.relu(norm(conv(x))) for x in mixed]
        return levels

    def pool(self, levels, boxes):
        import torch
        from torchvision.ops import roi_align

        total = 0
        for conv, x, scale in zip(self.pconvs, levels, (8 / 14, 4 / 14, 2 / 14)):
            pooled = roi_align(x.float(), [boxes], 14, scale, 2, aligned=True)  # knows no bfloat16
            total = total + conv(pooled.to(x.dtype))
        return self.flatten_linear(torch.relu(total).flatten(1))


def torch_worker(args):
    import torch
    from transformers import Dinov2Config, Dinov2Model, DynamicCache, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    with torch.device("meta"):
        llama = LlamaForCausalLM(LlamaConfig(**args.sizes, num_key_value_heads=None))
    rotary = type(llama.model.rotary_emb)(config=llama.config)
    llama = random_weights(llama)
    llama.model.rotary_emb = rotary  # its table is computed, not loaded
    prompt = torch.randn(1, POSITIONS, args.sizes["hidden_size"], dtype=torch.bfloat16)

    def prefill():
        return llama(inputs_embeds=prompt, use_cache=True, past_key_values=DynamicCache())

    token = torch.tensor([[5]])
    cache = prefill().past_key_values

    def decode():
        cache.crop(POSITIONS)
        for _ in range(STEPS):
            llama(input_ids=token, use_cache=True, past_key_values=cache)

    timed("decode", args.repeats, decode)
    if args.language_only:
        return
    timed("prefill", args.repeats, prefill)

    with torch.device("meta"):
        vision = Dinov2Model(Dinov2Config(hidden_size=1024, num_hidden_layers=24, patch_size=14,
                                          num_attention_heads=16, image_size=518,
                                          attn_implementation="eager"))
    vision = random_weights(vision)
    pixels = torch.randn(1, 3, 448, 448, dtype=torch.bfloat16)

    def see():
        return vision(pixels, output_hidden_states=True).hidden_states[-3:]

    timed("vision", args.repeats, see)
    peer = RegionPeer(1024)
    maps = [x[:, 1:].transpose(1, 2).reshape(1, 1024, 32, 32).contiguous() for x in see()]
    boxes = torch.rand(100, 4) * 448  # centre and size, read as corners
    levels = peer.fuse(maps)
    timed("fused maps", args.repeats, lambda: peer.fuse(maps))
    timed("regions", args.repeats, lambda: peer.pool(levels, boxes))


# --- the comparison -------------------------------------------------------------------------------


class Best:
    """The fastest of each (side, threads, row), with the load of that run."""

    def __init__(self):
        self.rows = {}

    def add(self, key, row):
        if key not in self.rows or row["seconds"] < self.rows[key]["seconds"]:
            self.rows[key] = row

    def seconds(self, *key):
        return self.rows[key]["seconds"] if key in self.rows else None

    def others(self, *keys):
        return max(self.rows[key]["others"] for key in keys)


def lines_of(command, environment):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"failed with status {done.returncode}: {' '.join(command)}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_groma(args, dtype, threads, stages, side, best):
    command = [args.groma, "bench", "-m", args.model, "--dtype", dtype, "-t", str(threads), "--json",
               "--prefill", str(POSITIONS), "--decode", str(STEPS), "--repeats", str(args.repeats)]
    report = lines_of(command + (["--stages"] if stages else []), {})[0]
    for row in report["rows"]:
        row["others"] = row["others_cores"]
        best.add((side, threads, row["name"]), row)
    rate = report["limits"]
    for name in ("bf16_gflops", "memory_gigabytes_per_second"):
        best.add(("limit", threads, name), {"seconds": 1 / rate[name], "others": 0})
    best.add((side, threads, "peak memory GiB"), {"seconds": report["peak_memory_gib"], "others": 0})
    best.add((side, threads, "load"), {"seconds": report["load_seconds"], "others": 0})


def run_peer(args, python, worker, threads, side, best, extra=()):
    command = [python, __file__, "--worker", worker, "--model", args.model, "--threads",
               str(threads), "--repeats", str(args.repeats), "--folder", args.folder, *extra]
    environment = {"OMP_NUM_THREADS": str(threads)} if worker == "torch" else {}
    for row in lines_of(command, environment):
        best.add((side, threads, row["name"]), row)


def one_round(args, threads, best, busy=""):
    for ours, theirs in FORMATS.items():
        if ours in args.formats:
            stages = not busy and ours != "int4"
            run_groma(args, ours, threads, stages, busy + ours, best)
            if args.llama:
                run_peer(args, args.llama, "llama", threads, busy + theirs, best,
                         ["--kind", theirs])
    if args.torch:
        run_peer(args, args.torch, "torch", threads, busy + "torch", best,
                 ["--language-only"] if busy else [])


def print_row(name, threads, ours, theirs, others, unit):
    if ours is None or theirs is None:
        return
    shown = [f"{x:.1f}" if unit.endswith("/s") else f"{x:.3f}" for x in (ours, theirs)]
    ratio = ours / theirs if unit.endswith("/s") else theirs / ours
    print(f"| {name} | {threads} | {shown[0]} | {shown[1]} {unit} | {ratio:.2f} | {others:.1f} |")


def summed(best, side, threads, names):
    parts = [best.seconds(side, threads, name) for name in names]
    return None if None in parts else sum(parts)


def print_table(args, best):
    print("| work | threads | ours | peer | ratio | others' cores |\n| --- | --- | --- | --- | --- | --- |")
    prefill_row, decode_row = f"prefill {POSITIONS}", f"decode {STEPS}"
    for threads in args.threads:
        def rates(name, side, row, peer, peer_row, count):
            keys = (side, threads, row), (peer, threads, peer_row)
            if all(key in best.rows for key in keys):
                print_row(name, threads, count / best.seconds(*keys[0]),
                          count / best.seconds(*keys[1]), best.others(*keys), "tokens/s")

        for ours, theirs in FORMATS.items():
            rates(f"decode {ours}, llama.cpp {theirs}", ours, decode_row, theirs, "decode", STEPS)
        rates("decode bf16, PyTorch bf16", "bf16", decode_row, "torch", "decode", STEPS)
        for ours, theirs in FORMATS.items():
            rates(f"prefill {POSITIONS} {ours}, llama.cpp {theirs}", ours, prefill_row, theirs,
                  "prefill", POSITIONS)
        for ours in FORMATS:  # beside the machine's limits in the same run
            row = best.rows.get((ours, threads, decode_row))
            limit = best.rows.get(("limit", threads, "memory_gigabytes_per_second"))
            if row:
                print_row(f"decode {ours}, memory read", threads, row["gigabytes_per_second"],
                          1 / limit["seconds"], row["others"], "GB/s")
        row = best.rows.get(("bf16", threads, prefill_row))
        if row:
            limit = best.rows["limit", threads, "bf16_gflops"]
            print_row("prefill bf16, bf16 products", threads, row["gflops"], 1 / limit["seconds"],
                      row["others"], "GFLOP/s")
        regions = ["fused maps", "100 regions"]
        whole = "first token, from the picture"
        peer_regions = summed(best, "torch", threads, ["fused maps", "regions"])
        peer_whole = summed(best, "torch", threads, ["vision", "fused maps", "regions", "prefill"])
        if peer_whole is not None:
            others = best.others(("torch", threads, "vision"), ("torch", threads, "prefill"))
            print_row("DINOv2-L 448 bf16, transformers eager", threads,
                      best.seconds("bf16", threads, "vision encoder"),
                      best.seconds("torch", threads, "vision"), others, "s")
            print_row("region encoder, 100 regions, bf16, PyTorch", threads,
                      summed(best, "bf16", threads, regions), peer_regions, others, "s")
            for dtype in ("bf16", "int8"):
                print_row(f"first token {dtype}, PyTorch bf16 stack", threads,
                          best.seconds(dtype, threads, whole), peer_whole, others, "s")
                print_row(f"follow-up {dtype}, PyTorch computes all again", threads,
                          best.seconds(dtype, threads, "first token of a further question"),
                          peer_whole, others, "s")
        for side in [*FORMATS, *FORMATS.values(), "torch"] if args.busy else []:
            row = decode_row if side in FORMATS else "decode"
            for kind, name in (("decode", row), ("prefill", prefill_row if side in FORMATS else "prefill")):
                keys = ("busy " + side, threads, name), (side, threads, name)
                if all(key in best.rows for key in keys):
                    print_row(f"{kind} {side}: a core busy, idle", threads, best.seconds(*keys[0]),
                              best.seconds(*keys[1]), best.others(*keys), "s")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a Groma checkpoint")
    parser.add_argument("--groma", default="build/bin/groma")
    parser.add_argument("--llama", help="a Python that has llama_cpp and gguf")
    parser.add_argument("--torch", help="a Python that has torch, torchvision and transformers")
    parser.add_argument("--threads", type=int, nargs="+",
                        default=[os.cpu_count(), max(1, os.cpu_count() // 2)])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="runs in each round")
    parser.add_argument("--busy", action="store_true", help="once more with a core kept busy")
    parser.add_argument("--folder", help="keeps llama.cpp's files for the next time")
    parser.add_argument("--worker", choices=["llama", "torch"], help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--language-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.sizes = language_sizes(args.model)
    if args.worker:
        args.threads = args.threads[0]
        return llama_worker(args) if args.worker == "llama" else torch_worker(args)
    best = Best()
    with tempfile.TemporaryDirectory() as scratch:
        args.folder = args.folder or scratch
        for threads in args.threads:
            for i in range(args.rounds):
                say(f"{threads} threads, round {i + 1}")
                one_round(args, threads, best)
            if args.busy and threads == args.threads[0]:
                say("with a core kept busy")
                spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                try:
                    one_round(args, threads, best, "busy ")
                finally:
                    spinner.kill()
    print_table(args, best)
    for key, row in best.rows.items():
        if key[2] in ("load", "peak memory GiB"):
            print(f"{key[0]}, {key[1]} threads: {key[2]} {row['seconds']:.2f}")


if __name__ == "__main__":
    main()
