#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "commands.h"
#include "groma/error.h"
#include "interrupt.h"

namespace {

enum ExitCode { kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130 };

/// A parse error in one line, help and version in full.
int report(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  const auto* at = &app;
  std::string command = "groma";
  for (auto chosen = app.get_subcommands(); !chosen.empty(); chosen = at->get_subcommands()) {
    at = chosen.front();
    command += " " + at->get_name();
  }
  std::string unknown;
  for (const auto& word : at->remaining()) unknown += (unknown.empty() ? "" : " ") + word;
  const bool no_command = error.get_name() == "RequiredError" && at->get_require_subcommand_min();
  if (no_command && unknown.empty() && at == &app) {
    std::cerr << app.help();
    return kUsage;
  }
  std::string problem = error.what();
  if (no_command && !unknown.empty()) problem = "there is no command '" + unknown + "'";
  // CLI11 names them backwards.
  if (dynamic_cast<const CLI::ExtrasError*>(&error) && !unknown.empty()) {
    problem = "not expected: " + unknown;
  }
  std::cerr << command << ": " << problem << "; see " << command << " --help\n";
  return kUsage;
}

int fail(const char* message) {
  const std::string text = message;  // LibTorch appends a backtrace: the first line is what matters
  std::cerr << "groma: " << text.substr(0, text.find('\n')) << '\n';
  return kFailed;
}

/// Starts the program anew with OpenMP's threads told to sleep while they wait, unless the user
/// chose.
///
/// By default they spin: harmless on an idle machine, but with one core taken by other work every
/// loop waits out a time slice and a small model becomes fifty times slower. libgomp reads the
/// setting before main begins, hence the new start.
void let_waiting_threads_sleep(int argc, char** argv) {
  if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
  // Scoring uses none of these threads and is over sooner than a second start.
  const std::string command = argc > 2 ? argv[1] : "";
  if (command == "eval" && std::string(argv[2]) != "run") return;
  setenv("OMP_WAIT_POLICY", "passive", 0);
  execv("/proc/self/exe", argv);  // on failure we go on as we are
}

/// Lets the allocator keep freed memory of up to half a gibibyte for the next tensor.
///
/// By default the C library maps every large block anew and gives it back when it is freed. The
/// region encoder makes and drops dozens of maps of 30 to 130 MB a picture, whose every page the
/// system would have to clear again. A choice of the program: a library leaves its host's
/// allocator alone.
void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kMegabyte = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, 256 * kMegabyte);
  mallopt(M_TRIM_THRESHOLD, 512 * kMegabyte);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argc, argv);
  keep_freed_memory();
  groma::cli::watch_interrupts();
  CLI::App app("Grounded conversations about images.", "groma");
  app.set_version_flag("--version", GROMA_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);
  groma::add_chat_command(app);
  groma::add_propose_command(app);
  groma::add_rank_command(app);
  groma::add_info_command(app);
  groma::add_init_command(app);
  groma::add_quantize_command(app);
  groma::add_bench_command(app);
  groma::add_synth_command(app);
  groma::add_eval_command(app);
  groma::add_instruct_command(app);
  groma::add_tokenizer_command(app);
  groma::add_train_command(app);
  groma::add_measure_command(app);
  try {
    app.parse(argc, argv);  // runs the command
    std::cout.flush();
    return std::cout ? kDone : fail("cannot write to standard output");
  } catch (const CLI::ParseError& error) {
    return report(app, error);
  } catch (const groma::ExitStatus& status) {
    return status.code;
  } catch (const groma::cli::Interrupted&) {
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    return fail("not enough memory; try --dtype bf16, or a machine with more");
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}
