#pragma once

namespace CLI {
class App;
}

namespace groma {

/// Each adds one sub-command of the program, with its options and what it does when chosen.
void add_synth_command(CLI::App& app);

}  // namespace groma
