#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "faults/calls.h"
#include "groma/evaluate.h"
#include "groma/groma.h"
#include "init.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "support.h"

// Every operation with every call to the system failing in turn: it says so or does without, leaves
// nothing open, and what was there before stays usable.

namespace groma {
namespace {

namespace fs = std::filesystem;
using testing::Call;
using testing::TemporaryFolder;

const std::string kRoot = GROMA_SOURCE_DIR;

struct Fault {
  Call call;
  int error;
  const char* name;
};
constexpr Fault kReading[] = {{Call::kOpen, EMFILE, "open"},
                              {Call::kRead, EIO, "read"},
                              {Call::kRead, 0, "short read"},
                              {Call::kMap, ENOMEM, "map"}};
constexpr Fault kWriting[] = {{Call::kOpen, ENOSPC, "open"},    {Call::kWrite, ENOSPC, "write"},
                              {Call::kWrite, 0, "short write"}, {Call::kSync, EIO, "sync"},
                              {Call::kRename, EIO, "rename"},   {Call::kCut, EIO, "cut"}};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs `operation` with the n-th call failing, n = 1, 2, ..., until it needs fewer calls; `check`
/// sees each time whether it said that it failed.
template <std::size_t N>
void fail_each(const Fault (&faults)[N], const std::function<void()>& operation,
               const std::function<void(bool failed)>& check) {
  operation();  // what is opened once and kept is opened now
  for (const auto& fault : faults) {
    std::size_t errors = 0, n = 0;
    for (bool reached = true; reached;) {
      const auto descriptors = testing::open_descriptors();
      std::string problem;
      testing::fail_call(fault.call, ++n, fault.error);
      try {
        operation();
      } catch (const Error& error) {
        problem = error.what();
      }
      reached = testing::stop_failing() >= n;
      SCOPED_TRACE(std::string(fault.name) + " " + std::to_string(n) + ": " + problem);
      ASSERT_EQ(testing::open_descriptors(), descriptors);
      ASSERT_TRUE(fault.error != 0 || problem.empty()) << "half a transfer is no error";
      ASSERT_NO_FATAL_FAILURE(check(!problem.empty()));
      errors += !problem.empty();
    }
    std::printf("%-12s %4zu calls, %zu refusals\n", fault.name, n - 1, errors);
  }
}

class IoFaults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    init_checkpoint(kRoot + "/tests/data/tiny_config.json", model(), "float32", /*seed=*/3);
    fs::copy_file(kRoot + "/tests/data/shapes.png", file("picture.png"));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string file(const char* name) { return (folder_->path() / name).string(); }
  static std::string model() { return file("model"); }

  static ChatResult ask(const Groma& groma) {
    ChatOptions options;
    options.max_new_tokens = 4;
    RegionOptions regions;
    regions.box_score = 0;
    return groma.chat(Image::open(file("picture.png")), "What is this?", {}, options, regions);
  }

  /// No temporary file is left beside those that were asked for.
  static void expect_no_leftovers(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
    }
  }

  static TemporaryFolder* folder_;
};

TemporaryFolder* IoFaults::folder_ = nullptr;

TEST_F(IoFaults, LoadAndChat) {
  const auto expected = ask(Groma::load(model())).generated_ids;
  std::vector<std::int64_t> answered;
  const auto operation = [&] {
    answered.clear();
    answered = ask(Groma::load(model())).generated_ids;
  };
  fail_each(kReading, operation, [&](bool failed) {
    EXPECT_EQ(testing::mapped_files(model().c_str()), 0u);
    EXPECT_TRUE(failed || answered == expected);
  });
}

TEST_F(IoFaults, SavePicture) {
  const auto image = Image::open(file("picture.png"));
  const auto path = file("copy.png");
  image.save(path);
  const auto before = bytes_of(path);
  fail_each(
      kWriting, [&] { image.save(path); },
      [&](bool) {
        EXPECT_EQ(bytes_of(path), before);
        expect_no_leftovers(folder_->path());
      });
}

TEST_F(IoFaults, SaveCheckpoint) {
  const auto path = file("state.safetensors");
  const io::TensorMap old = {{"a", at::zeros({300})}, {"b", at::ones({7}, at::kHalf)}};
  const io::TensorMap changed = {{"a", at::ones({300})}, {"b", at::zeros({7}, at::kHalf)}};
  const auto save = [&] { io::write_safetensors(path, changed); };
  save();
  const auto after = bytes_of(path);
  io::write_safetensors(path, old);
  const auto before = bytes_of(path);
  fail_each(kWriting, save, [&](bool failed) {
    const auto now = bytes_of(path);
    EXPECT_TRUE(now == after || (failed && now == before));
    expect_no_leftovers(folder_->path());
    io::write_safetensors(path, old);
  });
}

TEST_F(IoFaults, Evaluation) {
  std::ofstream lines(file("rec.jsonl"));
  const auto image = Image::open(file("picture.png"));
  for (int i = 0; i < 2; ++i) {
    lines << R"({"id":)" << i << R"(,"image":"picture.png","width":)" << image.width()
          << R"(,"height":)" << image.height()
          << R"(,"task":"rec","text":"it","boxes":[[1,1,20,20]]})"
          << "\n";
  }
  lines.close();
  eval::RunOptions options;
  options.annotations.path = file("rec.jsonl");
  options.model = model();
  options.load.threads = 1;
  options.loaders = 1;
  options.out = file("whole");
  eval::run_evaluation(options);
  const auto whole = bytes_of(file("whole/predictions.jsonl"));
  options.out = file("run");
  const auto operation = [&] {
    fs::remove_all(options.out);
    options.resume = false;
    eval::run_evaluation(options);
  };
  const auto check = [&](bool) {
    // Whatever was lost, the run goes on and ends with the same answers, but for pictures that
    // could not be read: those are answers too.
    options.resume = true;
    ASSERT_NO_THROW(eval::run_evaluation(options));
    const auto answers = bytes_of(options.out + "/predictions.jsonl");
    const bool unread = answers.find("picture.png': ") != answers.npos;
    EXPECT_TRUE(answers == whole || unread) << answers;
    expect_no_leftovers(options.out);
  };
  fail_each(kWriting, operation, check);
  constexpr Fault kRest[] = {{Call::kRead, EIO, "read"}, {Call::kMap, ENOMEM, "map"}};
  fail_each(kRest, operation, check);
}

}  // namespace
}  // namespace groma
