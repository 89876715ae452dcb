#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "groma/error.h"
#include "groma/formats.h"
#include "groma/groma.h"
#include "train/worlds/scene.h"

namespace groma::cli {

/// Which model, and how it computes: -m, --device, --dtype, -t.
struct ModelArgs {
  std::string directory;
  LoadOptions options;
};
void add_model_options(CLI::App& command, ModelArgs& args);
void add_device_option(CLI::App& command, Device& device);
void add_dtype_option(CLI::App& command, DType& dtype);
std::string name_of(DType dtype);

/// An option that takes one of the names of `choices`.
template <typename T>
CLI::Option* add_choice(CLI::App& command, const std::string& name, T& value,
                        const std::vector<std::pair<std::string, T>>& choices,
                        const std::string& help) {
  const auto choose = [&value, choices](const std::string& given) {
    std::string names;
    for (const auto& [choice, meaning] : choices) {
      if (choice == given) {
        value = meaning;
        return;
      }
      names += (names.empty() ? "" : ", ") + choice;
    }
    throw CLI::ValidationError("'" + given + "' is none of " + names);
  };
  return command.add_option_function<std::string>(name, choose, help);
}

/// Check of an option that counts: -1 would become the largest number.   returns what is wrong
std::string refuse_negative(const std::string& given);

/// --seed S, a whole number of 0 or more.
CLI::Option* add_seed_option(CLI::App& command, std::uint64_t& seed, const std::string& help);

/// --world shapes, things or both.
void add_world_option(CLI::App& command, train::World& world, const std::string& help);

/// What `read` makes of what the user typed; its Error is one of usage.
template <typename Read>
auto as_usage(const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// Which candidates become regions: --box-score, --nms, --max-regions.
void add_region_options(CLI::App& command, RegionOptions& options);

/// -o FILE, a picture to write; refused at once when its kind or folder cannot be written.
void add_picture_option(CLI::App& command, std::string& file, const std::string& help);

/// --format, --json (which is --format json) and --label.
void add_format_options(CLI::App& command, std::optional<Format>& format, std::string& label);

/// Throws CLI::ValidationError unless the folder of `file` exists.
void check_folder_of(const std::string& file);

/// Throws CLI::ValidationError unless `file` names a picture or page that can be written.
void check_picture_file(const std::string& file);

/// Loads a model; on a terminal a bar shows the progress of a load that takes long.
Groma load_model(const ModelArgs& args);

/// Opens a picture; "-" reads it from standard input.
Image open_image(const std::string& file);

/// All of standard input.
std::string read_stdin();

}  // namespace groma::cli
