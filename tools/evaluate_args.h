#pragma once

#include <optional>
#include <string>
#include <vector>

#include "groma/evaluate.h"

namespace CLI {
class App;
}

namespace groma {

/// Adds `run` to the command `eval`.
void add_eval_run_command(CLI::App& app);

namespace cli {

/// An annotation file: --annotations, --format, --instances, --split, --allow-google.
void add_annotation_options(CLI::App& command, eval::AnnotationFile& file);

/// What counts as right: --rule, --as-many. Left as they are where the options are not given.
void add_rule_options(CLI::App& command, std::optional<eval::RecRule>& rule,
                      std::optional<bool>& as_many_cut);

void print_warnings(const std::vector<std::string>& warnings);

}  // namespace cli
}  // namespace groma
