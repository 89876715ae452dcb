#pragma once

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

void print_warnings(const std::vector<std::string>& warnings);

}  // namespace cli
}  // namespace groma
