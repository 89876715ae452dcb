#pragma once

namespace CLI {
class App;
}

namespace groma {

/// Each adds one sub-command of the program, with its options and what it does when chosen.
void add_chat_command(CLI::App& app);
void add_propose_command(CLI::App& app);
void add_rank_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_init_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_synth_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_instruct_command(CLI::App& app);
void add_tokenizer_command(CLI::App& app);
void add_measure_command(CLI::App& app);

/// Thrown by a command that did its work but ends with a status other than 0.
struct ExitStatus {
  int code;
};

}  // namespace groma
