#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "args.h"
#include "bench/limits.h"
#include "bench/stages.h"
#include "commands.h"
#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"

namespace groma {
namespace {

using bench::MachineLimits;
using bench::Row;
using nlohmann::json;

constexpr double kGiga = 1e9;

void print_limits(const MachineLimits& limits) {
  std::printf("this machine, now: %.0f GFLOP/s fp32, %.0f bf16, %.0f int8; %.1f GB/s of memory\n",
              limits.float32_flops / kGiga, limits.bfloat16_flops / kGiga,
              limits.int8_flops / kGiga, limits.memory_bytes / kGiga);
}

void print_heading() {
  std::printf("%-34s %10s %10s %9s %8s %7s\n", "", "seconds", "tokens/s", "GFLOP/s", "GB/s",
              "others");
}

void print_row(const Row& row) {
  const auto column = [](int width, int digits, double value) {
    value > 0 ? std::printf(" %*.*f", width, digits, value) : std::printf(" %*s", width, "");
  };
  std::printf("%-34s %10.4f", row.name.c_str(), row.seconds);
  column(10, 2, row.tokens / row.seconds);
  column(9, 0, row.flops / row.seconds / kGiga);
  column(8, 1, row.bytes / row.seconds / kGiga);
  std::printf(" %7.1f\n", row.others_cores);
  std::fflush(stdout);
}

json to_json(const Row& row) {
  json out = {{"name", row.name}, {"seconds", row.seconds}, {"others_cores", row.others_cores}};
  if (row.tokens > 0) out["tokens_per_second"] = row.tokens / row.seconds;
  if (row.flops > 0) out["gflops"] = row.flops / row.seconds / kGiga;
  if (row.bytes > 0) out["gigabytes_per_second"] = row.bytes / row.seconds / kGiga;
  return out;
}

json to_json(const MachineLimits& limits) {
  return {{"fp32_gflops", limits.float32_flops / kGiga},
          {"bf16_gflops", limits.bfloat16_flops / kGiga},
          {"int8_gflops", limits.int8_flops / kGiga},
          {"memory_gigabytes_per_second", limits.memory_bytes / kGiga}};
}

struct BenchArgs {
  cli::ModelArgs model;
  bench::BenchOptions options;
  std::string image;
  bool json = false;
};

void run_bench(const BenchArgs& args) {
  auto options = args.options;
  if (!args.image.empty()) options.image = cli::open_image(args.image);
  const auto start = std::chrono::steady_clock::now();
  const auto engine = load_engine(args.model.directory, args.model.options);
  const std::chrono::duration<double> load_time = std::chrono::steady_clock::now() - start;
  const bench::LoadMeter load;
  if (!args.json) print_heading();
  const auto rows = bench::run(engine, options, [&](const Row& row) {
    if (!args.json) print_row(row);
  });
  const auto others = load.others();
  const auto* kernels = ops::quantized::fastest_kernels().name;
  const auto peak = static_cast<double>(bench::peak_memory()) / (1024.0 * 1024 * 1024);
  MachineLimits limits;  // last: what they are measured with is not the model's memory
  {
    const CallScope scope(*engine);
    limits = bench::measure_limits();
  }
  if (!args.json) {
    print_limits(limits);
    std::printf(
        "%s weights, %s kernels, %d threads; loaded in %.2f s; peak memory %.2f GiB;"
        " %.1f cores busy with other work\n",
        engine->info.compute_dtype.c_str(), kernels, engine->threads, load_time.count(), peak,
        others);
    return;
  }
  json out = {{"dtype", engine->info.compute_dtype},
              {"kernels", kernels},
              {"threads", engine->threads},
              {"load_seconds", load_time.count()},
              {"peak_memory_gib", peak},
              {"others_cores", others},
              {"limits", to_json(limits)},
              {"rows", json::array()}};
  for (const auto& row : rows) out["rows"].push_back(to_json(row));
  std::cout << out.dump() << '\n';
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto& command = *app.add_subcommand("bench", "Time a model beside what the machine can do");
  const auto args = std::make_shared<BenchArgs>();
  cli::add_model_options(command, args->model);
  command.add_option("--image", args->image, "Picture of the stages; without it a grey one")
      ->type_name("FILE");
  command.add_flag("--stages", args->options.stages,
                   "Time the picture's stages and whole turns too");
  const auto number = [&](const char* name, int& value, int least, int most, const char* help) {
    command.add_option(name, value, help)
        ->check(CLI::Range(least, most).description(""))
        ->type_name("N");
  };
  number("--prefill", args->options.prefill, 1, 100000, "Positions of the prompt; 512");
  number("--decode", args->options.decode, 1, 10000, "Tokens to generate; 16");
  number("--follow-up", args->options.follow_up, 1, 10000, "Positions of a further question; 60");
  number("--repeats", args->options.repeats, 1, 1000, "Runs, of which the fastest counts; 3");
  command.add_flag("--json", args->json, "Print a line of JSON");
  command.callback([args] { run_bench(*args); });
}

}  // namespace groma
