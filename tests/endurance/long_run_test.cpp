#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "endurance/length.h"
#include "groma/groma.h"
#include "groma/image.h"

// Many turns and many chats on the shipped model: no memory, descriptor or thread is lost, and the
// answers are the same whatever else goes on.

namespace groma {
namespace {

const std::string kRoot = GROMA_SOURCE_DIR;
const std::string kModel = kRoot + "/models/groma-tiny";

#ifdef __SANITIZE_THREAD__
constexpr int kComputeThreads = 1;  // the sanitizer cannot follow OpenMP's barriers
#else
constexpr int kComputeThreads = 2;
#endif

const Groma& model() {
  static const Groma loaded = [] {
    LoadOptions options;
    options.threads = kComputeThreads;
    options.dtype = DType::kFloat32;
    return Groma::load(kModel, options);
  }();
  return loaded;
}

const Image& picture() {
  static const Image image = Image::open(kRoot + "/tests/data/shapes.png");
  return image;
}

/// What the process holds. Memory in bytes, without what the allocator keeps of memory given back.
struct Holdings {
  std::size_t memory = 0, threads = 0, descriptors = 0;
};

std::size_t entries_of(const char* folder) {
  const std::filesystem::directory_iterator all(folder);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

Holdings holdings() {
  Holdings now;
  malloc_trim(0);
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmRSS:") continue;
    status >> now.memory;
    now.memory *= 1024;
  }
  now.threads = entries_of("/proc/self/task");
  now.descriptors = entries_of("/proc/self/fd");
  return now;
}

constexpr std::size_t kMostGrowth = 2 << 20;  // bytes, after the first hundred
constexpr int kWarm = 100;

/// Repeats `act` and compares what the process holds at the end with what it held after `warm`.
template <typename Act>
void expect_steady(int times, int warm, const Act& act) {
  Holdings before;
  for (int i = 0; i < times; ++i) {
    if (i == warm) before = holdings();
    act(i);
    if (::testing::Test::HasFatalFailure()) return;
  }
  const auto after = holdings();
  std::printf("%d times: %.1f MB after %d, %.1f MB at the end\n", times, before.memory / 1048576.0,
              warm, after.memory / 1048576.0);
  EXPECT_LE(after.memory, before.memory + kMostGrowth);
  EXPECT_EQ(after.threads, before.threads);
  EXPECT_EQ(after.descriptors, before.descriptors);
}

constexpr const char* kQuestions[] = {"Describe the image in detail.", "Locate the circle.",
                                      "How many squares are there?", "What is <box>?"};

ChatResult ask(Session& session, int number) {
  ChatOptions options;
  options.max_new_tokens = 8;
  const std::string question = kQuestions[number % std::size(kQuestions)];
  std::vector<Box> boxes;
  if (question.find("<box>") != question.npos) boxes = {{10, 10, 60, 60}};
  return session.chat(question, boxes, options);
}

ChatResult ask_once(const Groma& groma, int number) {
  auto session = groma.start(picture());
  return ask(session, number);
}

TEST(LongRun, TurnsOfSessions) {
  constexpr int kTurns = 25;  // of one session
  const int times = testing::whole_length() ? 1000 : 150;
  std::optional<Session> session;
  std::vector<std::vector<std::int64_t>> first(kTurns);
  expect_steady(times, kWarm, [&](int i) {
    const int turn = i % kTurns;
    if (turn == 0) session.emplace(model().start(picture()));
    const auto answer = ask(*session, turn);
    if (i < kTurns) first[turn] = answer.generated_ids;
    ASSERT_EQ(answer.generated_ids, first[turn]) << "turn " << turn << ", again in turn " << i;
  });
}

TEST(LongRun, ChatsOfOneQuestion) {
  const int times = testing::whole_length() ? 2000 : 150;
  std::vector<std::vector<std::int64_t>> first(std::size(kQuestions));
  expect_steady(times, kWarm, [&](int i) {
    auto& expected = first[i % first.size()];
    const auto answer = ask_once(model(), i).generated_ids;
    if (expected.empty()) expected = answer;
    ASSERT_EQ(answer, expected) << i;
  });
}

TEST(LongRun, AnyNumberOfThreadsGivesTheSameTokens) {
  std::vector<std::vector<std::int64_t>> expected;
  for (const int threads : {1, 2, 4}) {
    LoadOptions options;
    options.threads = threads;
    options.dtype = DType::kFloat32;
    const auto groma = Groma::load(kModel, options);
    for (std::size_t i = 0; i < std::size(kQuestions); ++i) {
      const auto ids = ask_once(groma, static_cast<int>(i)).generated_ids;
      if (threads == 1) expected.push_back(ids);
      EXPECT_EQ(ids, expected[i]) << threads << " threads: " << kQuestions[i];
    }
  }
}

TEST(LongRun, ConcurrentChatsGiveTheAnswersOfSequentialOnes) {
  constexpr int kThreads = 8;
  const int each = testing::whole_length() ? 50 : 4;
  std::vector<std::vector<std::int64_t>> expected;
  for (std::size_t i = 0; i < std::size(kQuestions); ++i) {
    expected.push_back(ask_once(model(), static_cast<int>(i)).generated_ids);
  }
  std::vector<int> wrong(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        wrong[t] += ask_once(model(), i + t).generated_ids != expected[(i + t) % expected.size()];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(kThreads));
}

}  // namespace
}  // namespace groma
