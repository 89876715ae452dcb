#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "cli/program.h"
#include "endurance/length.h"
#include "folders.h"
#include "train/tiny_run.h"

// Evaluation and training killed at random moments go on and end with the same bytes.

namespace groma::testing {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int kills() { return whole_length() ? 200 : 20; }

/// A run of the program that goes on where it was killed.
struct Job {
  Arguments start, resume;  ///< command lines without the folder, which comes last
  std::vector<const char*> results;
  const char* kept = "";  ///< what there must be to go on from; empty: anything
};

double seconds_of(const Job& job, const fs::path& out) {
  auto arguments = job.start;
  arguments.push_back(out.string());
  const auto begin = std::chrono::steady_clock::now();
  const auto whole = run_groma(arguments);
  EXPECT_EQ(whole.code, 0) << whole.err;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Kills runs at random moments until there were enough, and compares what each ends with.
void kill_and_resume(const Job& job, const fs::path& folder) {
  const auto whole = folder / "whole";
  const double seconds = seconds_of(job, whole);
  std::mt19937 random(7);
  // Up to a third more than a run takes: some end before they are killed.
  std::uniform_real_distribution<double> moment(0, 1.3 * seconds);
  int killed = 0, finished = 0;
  for (int round = 0; killed < kills(); ++round) {
    const auto out = folder / ("run" + std::to_string(round));
    for (bool done = false; !done;) {
      const bool begun = fs::exists(out / job.kept) && !fs::is_empty(out);
      auto arguments = begun ? job.resume : job.start;
      arguments.push_back(out.string());
      if (killed >= kills()) {
        const auto last = run_groma(arguments);
        ASSERT_EQ(last.code, 0) << last.err;
        break;
      }
      Background process(arguments);
      const auto end =
          std::chrono::steady_clock::now() + std::chrono::duration<double>(moment(random));
      while (process.runs() && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      done = !process.runs();
      process.kill();
      killed += !done;
    }
    for (const char* name : job.results) {
      ASSERT_FALSE(bytes_of(out / name).empty()) << name;
      ASSERT_EQ(bytes_of(out / name), bytes_of(whole / name)) << name << " after " << killed;
    }
    ++finished;
    fs::remove_all(out);
  }
  std::printf("%d kills, %d runs ended with the same bytes\n", killed, finished);
}

TEST(Kill, AnEvaluationGoesOnAndEndsWithTheSameBytes) {
  const TemporaryFolder folder;
  const auto set = (folder.path() / "set").string();
  const auto drawn = run_groma(
      {"synth", "--out", set, "--scenes", "4", "--seed", "91", "--test", "--threads", "1"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  Job job;
  job.start = {"eval",
               "run",
               "--protocol",
               "rec",
               "-m",
               std::string(GROMA_SOURCE_DIR) + "/models/groma-tiny",
               "-t",
               "1",
               "--limit",
               "12",
               "--annotations",
               set + "/rec.jsonl",
               "--out"};
  job.resume = job.start;
  job.resume.insert(job.resume.begin() + 2, "--resume");
  job.results = {"predictions.jsonl", "metrics.json", "detections.json"};
  kill_and_resume(job, folder.path());
}

TEST(Kill, ATrainingGoesOnAndEndsWithTheSameBits) {
  const train::testing::RunFolder folder("kill");
  train::testing::write_tiny_model(folder);
  const auto recipe = folder.write("recipe.json", train::testing::kDetection);
  Job job;
  job.start = {"train",  "--config", recipe,      "--model", folder / "model",
               "--seed", "3",        "--threads", "1",       "--out"};
  job.resume = job.start;
  job.resume.insert(job.resume.begin() + 1, "--resume");
  job.results = {"state.safetensors", "model/model.safetensors"};
  job.kept = "state.safetensors";
  kill_and_resume(job, fs::path(folder / "."));
}

}  // namespace
}  // namespace groma::testing
