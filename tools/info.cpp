#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "commands.h"
#include "groma/groma.h"
#include "output.h"

namespace groma {
namespace {

/// 7000000000 -> "7,000,000,000".
std::string grouped(std::int64_t number) {
  auto digits = std::to_string(number);
  for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

/// "1.5 GiB in bf16" of every dtype, the largest first.
std::string weights_sizes(const ModelInfo& info) {
  constexpr double kMiB = 1024.0 * 1024;
  std::string out;
  for (const char* dtype : {"fp32", "bf16", "int8", "int4"}) {
    const auto found = info.memory.find(dtype);
    if (found == info.memory.end()) continue;
    const double mib = static_cast<double>(found->second) / kMiB;
    char text[60];
    std::snprintf(text, sizeof(text), "%s%.1f %s in %s", out.empty() ? "" : ", ",
                  mib < 1024 ? mib : mib / 1024, mib < 1024 ? "MiB" : "GiB", dtype);
    out += text;
  }
  return out;
}

void print(const ModelInfo& info) {
  for (const auto& stage : info.stages) {
    std::printf("%-18s %18s parameters\n", stage.name.c_str(), grouped(stage.parameters).c_str());
  }
  std::printf("%-18s %18s parameters\n\n", "all", grouped(info.parameters).c_str());
  std::printf("files              %s; computes in %s\n", info.file_dtype.c_str(),
              info.compute_dtype.c_str());
  std::printf("memory of weights  %s\n", weights_sizes(info).c_str());
  std::printf("picture            %d x %d pixels, %d tokens\n", info.image_size, info.image_size,
              info.image_tokens);
  std::printf("regions            %d proposals, at most %d regions; geometry as %s\n", info.queries,
              info.region_tokens, info.roi_geometry.c_str());
  std::printf("context            %d positions\n", info.context);
  std::fflush(stdout);
}

}  // namespace

void add_info_command(CLI::App& app) {
  struct InfoArgs {
    std::string model;
    bool json = false;
  };
  auto& command = *app.add_subcommand("info", "Say what a checkpoint is and what it needs");
  const auto args = std::make_shared<InfoArgs>();
  command.add_option("-m,--model", args->model, "Folder of the checkpoint")
      ->type_name("DIR")
      ->required();
  command.add_flag("--json", args->json, "Print a line of JSON");
  command.callback([args] {
    const auto info = describe(args->model);
    if (args->json) {
      std::cout << cli::to_json(info) << '\n';
    } else {
      print(info);
    }
  });
}

}  // namespace groma
