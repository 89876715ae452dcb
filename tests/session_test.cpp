#include "session.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <thread>

#include "init.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "session_support.h"
#include "support.h"

namespace groma {
namespace {

using testing::all_regions;
using testing::brief;
using testing::message_of;
using testing::picture;
using testing::TemporaryFolder;

/// Made once.
const Groma& model() {
  static const TemporaryFolder folder;
  static const Groma loaded = testing::random_model(testing::kTinyConfig, folder);
  return loaded;
}

TEST(Session, SecondTurnKeepsRegionsAndReusesThePrefix) {
  auto session = model().start(picture(), all_regions());
  const auto first = session.chat("What is this?", {}, brief());
  const auto second = session.chat("And that?", {}, brief());
  ASSERT_FALSE(first.regions.empty());
  ASSERT_EQ(first.regions.size(), second.regions.size());
  for (size_t i = 0; i < first.regions.size(); ++i) {
    EXPECT_EQ(first.regions[i].box, second.regions[i].box);
  }
  EXPECT_EQ(first.timings.reused_positions, 0);
  EXPECT_GT(second.timings.reused_positions, first.timings.prompt_positions - 8);
  EXPECT_EQ(second.timings.vision_ms, 0);
  EXPECT_EQ(second.timings.regions_ms, 0);
}

/// The random model of `model()`, loaded with a folder for pictures.
Groma with_cache(const std::filesystem::path& folder) {
  static const TemporaryFolder checkpoint;
  static const auto directory = [] {
    const auto path = (checkpoint.path() / "model").string();
    init_checkpoint(std::string(GROMA_SOURCE_DIR) + "/tests/data/tiny_config.json", path, "float32",
                    /*seed=*/3);
    return path;
  }();
  LoadOptions options;
  options.cache = folder.string();
  return Groma::load(directory, options);
}

void expect_same_answer(const ChatResult& a, const ChatResult& b) {
  EXPECT_EQ(a.generated_ids, b.generated_ids);
  EXPECT_EQ(a.prompt_ids, b.prompt_ids);
  ASSERT_EQ(a.regions.size(), b.regions.size());
  for (size_t i = 0; i < a.regions.size(); ++i) {
    EXPECT_EQ(a.regions[i].box, b.regions[i].box);
    EXPECT_EQ(a.regions[i].score, b.regions[i].score);
  }
}

TEST(PictureCache, TheNextRunComputesOnlyItsQuestion) {
  const TemporaryFolder folder;
  const auto plain = model().start(picture(), all_regions()).chat("What is this?", {}, brief());
  const auto first =
      with_cache(folder.path()).start(picture(), all_regions()).chat("What is this?", {}, brief());
  expect_same_answer(plain, first);
  EXPECT_EQ(first.timings.reused_positions, 0);

  const auto again = with_cache(folder.path());
  const auto second = again.start(picture(), all_regions()).chat("What is this?", {}, brief());
  expect_same_answer(plain, second);
  EXPECT_EQ(second.timings.vision_ms, 0);
  EXPECT_EQ(second.timings.proposer_ms, 0);
  EXPECT_GT(second.timings.reused_positions, static_cast<int>(2 * second.regions.size()));

  // Given boxes may change the regions: the picture is known, its regions are chosen anew.
  const std::vector<Box> boxes = {{5, 6, 90, 80}};
  const auto boxed = again.start(picture(), all_regions()).chat("And <box>?", boxes, brief());
  expect_same_answer(model().start(picture(), all_regions()).chat("And <box>?", boxes, brief()),
                     boxed);
  EXPECT_EQ(boxed.timings.vision_ms, 0);
}

TEST(PictureCache, OtherSettingsAndOtherPicturesAreNotTakenForTheSame) {
  const TemporaryFolder folder;
  const auto cached = with_cache(folder.path());
  cached.start(picture(), all_regions()).chat("What is this?", {}, brief());
  auto fewer = all_regions();
  fewer.max_regions = 3;
  const auto few = cached.start(picture(), fewer).chat("What is this?", {}, brief());
  expect_same_answer(model().start(picture(), fewer).chat("What is this?", {}, brief()), few);
  EXPECT_EQ(few.timings.vision_ms, 0);
  EXPECT_EQ(few.regions.size(), 3u);
  // The entry now holds the latest settings.
  const auto repeated = cached.start(picture(), fewer).chat("What is this?", {}, brief());
  EXPECT_EQ(repeated.timings.regions_ms, 0);
  expect_same_answer(few, repeated);
  const auto other = Image::open(std::string(GROMA_SOURCE_DIR) + "/tests/data/shapes.png");
  const auto unseen = cached.start(other, all_regions()).chat("What is this?", {}, brief());
  EXPECT_GT(unseen.timings.vision_ms, 0);
  expect_same_answer(model().start(other, all_regions()).chat("What is this?", {}, brief()),
                     unseen);
}

TEST(PictureCache, ADamagedEntryIsMadeAnew) {
  const TemporaryFolder folder;
  const auto ask = [&] {
    return with_cache(folder.path()).start(picture(), all_regions()).chat("Why?", {}, brief());
  };
  const auto first = ask();
  const auto entry = std::filesystem::directory_iterator(folder.path())->path();
  const auto size = std::filesystem::file_size(entry);
  for (const auto kept : {size_t{0}, size_t{5}, size / 2, size - 1}) {
    std::filesystem::resize_file(entry, kept);
    const auto mended = ask();
    EXPECT_GT(mended.timings.vision_ms, 0) << kept;
    expect_same_answer(first, mended);
    EXPECT_EQ(std::filesystem::file_size(entry), size);
  }
  EXPECT_EQ(ask().timings.vision_ms, 0);

  const auto written = io::read_safetensors(entry.string());
  const auto metadata = io::read_safetensors_metadata(entry.string());
  const auto expect_mended = [&](const std::string& name, const at::Tensor& wrong) {
    auto tensors = written;
    tensors[name] = wrong;
    io::write_safetensors(entry.string(), tensors, metadata);
    const auto mended = ask();
    EXPECT_GT(mended.timings.vision_ms, 0) << name;
    expect_same_answer(first, mended);
  };
  for (const auto* name : {"map.0", "image_tokens", "proposed_scores", "keys_and_values.0"}) {
    expect_mended(name, written.at(name).to(at::kDouble));
  }
  for (const auto* name : {"proposed_boxes", "regions.boxes", "regions.scores"}) {
    expect_mended(name, at::full_like(written.at(name), NAN));
  }
}

TEST(Session, ReusedPrefixGivesTheAnswerOfAFreshOne) {
  auto kept = model().start(picture(), all_regions());
  kept.chat("What is this?", {}, brief());
  const auto reused = kept.chat("And that?", {}, brief());
  // The same conversation, its first turn with another length of answer, never seen by the cache.
  auto again = model().start(picture(), all_regions());
  again.chat("What is this?", {}, brief());
  const auto repeated = again.chat("And that?", {}, brief());
  EXPECT_EQ(reused.generated_ids, repeated.generated_ids);
  EXPECT_EQ(reused.prompt_ids, repeated.prompt_ids);
}

TEST(Session, LaterBoxTakesTheRegionItCoversOrIsAppended) {
  auto session = model().start(picture(), all_regions());
  const auto first = session.chat("What is this?", {}, brief());
  const auto known = first.regions.front().box;
  const auto same = session.chat("What is <box>?", {known}, brief());
  EXPECT_EQ(same.regions.size(), first.regions.size());
  const Box corner = {0, 0, 5, 5};
  const auto added = session.chat("What is <box>?", {corner}, brief());
  ASSERT_EQ(added.regions.size(), first.regions.size() + 1);
  EXPECT_TRUE(added.regions.back().given);
  EXPECT_FLOAT_EQ(added.regions.back().score, 1);
  EXPECT_NEAR(added.regions.back().box.x2, corner.x2, 1e-3);
  EXPECT_EQ(added.regions.front().box, known);
}

TEST(Session, GivenBoxBecomesARegionOfTheFirstTurn) {
  auto session = model().start(picture());
  const Box box = {10, 20, 110, 90};
  const auto answer = session.chat("What is <box>?", {box}, brief());
  ASSERT_FALSE(answer.regions.empty());
  const auto& region = answer.regions.front();
  EXPECT_TRUE(region.given);
  EXPECT_NEAR(region.box.x1, box.x1, 1e-2);
  EXPECT_NEAR(region.box.y2, box.y2, 1e-2);
}

TEST(Session, FailedQuestionLeavesTheSessionAsItWas) {
  auto session = model().start(picture(), all_regions());
  const auto before = session.chat("What is this?", {}, brief());
  const auto count = session.regions().size();
  EXPECT_NE(message_of([&] {
              session.chat("Is <box> near <box>?", {{0, 0, 5, 5}}, brief());
            }),
            "no error");
  std::string endless(20000, 'x');
  EXPECT_NE(message_of([&] {
              session.chat(endless, {{0, 0, 5, 5}}, brief());
            }).find("context"),
            std::string::npos);
  EXPECT_EQ(session.regions().size(), count);
  auto other = model().start(picture(), all_regions());
  other.chat("What is this?", {}, brief());
  EXPECT_EQ(session.chat("And that?", {}, brief()).generated_ids,
            other.chat("And that?", {}, brief()).generated_ids);
}

TEST(Session, ClearedSessionAnswersAsAFreshOne) {
  auto session = model().start(picture(), all_regions());
  const auto first = session.chat("What is this?", {{0, 0, 5, 5}}, brief());
  session.clear();
  const auto again = session.chat("What is this?", {}, brief());
  EXPECT_LT(again.regions.size(), first.regions.size());
  EXPECT_EQ(again.timings.vision_ms, 0);
  const auto fresh = model().chat(picture(), "What is this?", {}, brief(), all_regions());
  EXPECT_EQ(again.generated_ids, fresh.generated_ids);
}

std::shared_ptr<const Groma::Impl> engine() {
  static const TemporaryFolder folder;
  static const auto loaded = [] {
    const auto directory = (folder.path() / "model").string();
    init_checkpoint(std::string(GROMA_SOURCE_DIR) + "/tests/data/tiny_config.json", directory,
                    "float32", /*seed=*/3);
    return load_engine(directory, {});
  }();
  return loaded;
}

TEST(Session, ClearedSessionReadsItsNewRegions) {
  const CallScope scope(*engine());
  const auto none = at::empty({0, 4});
  const auto box = at::tensor({0.2f, 0.2f, 0.1f, 0.1f}).view({1, 4});
  const auto options = brief();
  Session::Impl cleared(engine(), picture(), all_regions()),
      fresh(engine(), picture(), all_regions());
  cleared.ask({{"What?", false}}, box, options);  // the box becomes <r0>
  cleared.clear();
  const auto again = cleared.open({{"What?", false}}, none, options);
  const auto expected = fresh.open({{"What?", false}}, none, options);
  EXPECT_GT(again.result.timings.reused_positions, 0) << "the picture is not read again";
  // Read in two parts instead of one: sums in another order.
  EXPECT_LT(testing::largest_difference(again.task.logits, expected.task.logits), 1e-4);
}

TEST(Session, ForksAnswerAsSessionsOfTheirOwn) {
  const CallScope scope(*engine());
  const auto none = at::empty({0, 4});
  const auto options = brief();
  Timings timings;
  Session::Impl base(engine(), picture(), all_regions());
  base.read_picture(timings);
  base.look(none, timings);
  for (const std::optional<std::uint64_t> seed : {std::optional<std::uint64_t>(), {5}}) {
    auto own_options = all_regions();
    own_options.shuffle_seed = seed;
    Session::Impl own(engine(), picture(), own_options);
    const auto expected = own.ask({{"What?", false}}, none, options);
    const auto fork = base.fork(seed);
    const auto said = fork->ask({{"What?", false}}, none, options);
    EXPECT_EQ(said.generated_ids, expected.generated_ids);
    ASSERT_EQ(said.regions.size(), expected.regions.size());
    for (size_t i = 0; i < said.regions.size(); ++i) {
      EXPECT_EQ(said.regions[i].box, expected.regions[i].box);
    }
    EXPECT_EQ(said.timings.vision_ms, 0);
    // A second fork knows nothing of the first: equal to the last bit.
    const auto twin = base.fork(seed);
    const auto a = twin->open({{"Who?", false}}, none, options).task.logits;
    const auto b = base.fork(seed)->open({{"Who?", false}}, none, options).task.logits;
    EXPECT_TRUE(at::equal(a, b));
  }
}

TEST(Session, TypedControlTokensStayCharacters) {
  const auto plain = model().chat(picture(), "xyz", {}, brief(), all_regions());
  for (const char* typed : {"<r3>", "</s>", "<image>", "[PAD]", "<refer_feat>", "<region>"}) {
    const auto answer = model().chat(picture(), typed, {}, brief(), all_regions());
    EXPECT_GE(answer.prompt_ids.size(), plain.prompt_ids.size()) << typed;
    // The same tokens of the template, then nothing but pieces of the vocabulary.
    const auto controls = [](const std::vector<int64_t>& ids) {
      return std::count_if(ids.begin(), ids.end(), [](int64_t id) { return id < 3 || id >= 400; });
    };
    EXPECT_EQ(controls(answer.prompt_ids), controls(plain.prompt_ids)) << typed;
  }
}

TEST(Session, ConstrainedAnswersNameExistingRegionsAndCloseWhatTheyOpen) {
  ChatOptions options;
  options.max_new_tokens = 40;
  options.temperature = 1.5;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    options.seed = seed;
    const auto answer = model().chat(picture(), "Describe.", {}, options, all_regions());
    for (const auto& phrase : answer.phrases) {
      for (const auto& named : phrase.regions) {
        ASSERT_LT(named.region, static_cast<int>(answer.regions.size()));
        EXPECT_LE(named.logprob, 0);
      }
    }
    size_t opened = 0, closed = 0, at = 0;
    while ((at = answer.tagged.find("<roi>", at)) != std::string::npos) ++opened, ++at;
    at = 0;
    while ((at = answer.tagged.find("</roi>", at)) != std::string::npos) ++closed, ++at;
    EXPECT_EQ(opened, closed) << answer.tagged;
  }
}

TEST(Session, SamplingRepeatsWithItsSeed) {
  ChatOptions options = brief();
  options.temperature = 1;
  options.seed = 7;
  const auto a = model().chat(picture(), "Go on.", {}, options);
  const auto b = model().chat(picture(), "Go on.", {}, options);
  EXPECT_EQ(a.generated_ids, b.generated_ids);
}

TEST(Session, StreamedTextIsTheAnswersText) {
  ChatOptions options;
  options.max_new_tokens = 30;
  std::string streamed;
  options.on_text = [&](std::string_view piece) {
    streamed += piece;
    return true;
  };
  const auto answer = model().chat(picture(), "Describe.", {}, options, all_regions());
  EXPECT_EQ(streamed, answer.text);
}

TEST(Session, CallbackCanStopTheAnswer) {
  ChatOptions options;
  options.max_new_tokens = 30;
  options.on_text = [](std::string_view) { return false; };
  const auto answer = model().chat(picture(), "Describe.", {}, options);
  EXPECT_EQ(answer.finish, Finish::kCancelled);
  EXPECT_LT(answer.generated_ids.size(), 30u);
}

TEST(Session, SeveralThreadsGiveTheAnswersOfOne) {
  const auto alone = model().chat(picture(), "Describe.", {}, brief(), all_regions());
  std::vector<ChatResult> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back(
        [&result] { result = model().chat(picture(), "Describe.", {}, brief(), all_regions()); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result.generated_ids, alone.generated_ids);
}

TEST(Session, RefusesBadOptionsByName) {
  const auto ask = [](auto change) {
    return message_of([&] {
      ChatOptions chat;
      RegionOptions regions;
      change(chat, regions);
      model().chat(picture(), "Hello", {}, chat, regions);
    });
  };
  EXPECT_NE(ask([](auto& c, auto&) { c.max_new_tokens = 0; }).find("max_new_tokens"),
            std::string::npos);
  EXPECT_NE(ask([](auto& c, auto&) { c.temperature = -1; }).find("temperature"), std::string::npos);
  EXPECT_NE(ask([](auto& c, auto&) { c.top_p = 0; }).find("top_p"), std::string::npos);
  EXPECT_NE(ask([](auto& c, auto&) { c.top_k = -1; }).find("top_k"), std::string::npos);
  EXPECT_NE(ask([](auto&, auto& r) { r.box_score = 2; }).find("box_score"), std::string::npos);
  EXPECT_NE(ask([](auto&, auto& r) { r.nms_iou = -1; }).find("nms_iou"), std::string::npos);
  EXPECT_NE(ask([](auto&, auto& r) { r.max_regions = 0; }).find("max_regions"), std::string::npos);
}

TEST(Session, RefusesBoxesThatCannotBe) {
  const auto photo = picture();
  const auto ask = [&](Box box) {
    return message_of([&] { model().chat(photo, "What is <box>?", {box}); });
  };
  const auto wide = static_cast<float>(photo.width());
  EXPECT_NE(ask({5, 5, 5, 9}).find("empty or reversed"), std::string::npos);
  EXPECT_NE(ask({9, 5, 5, 9}).find("empty or reversed"), std::string::npos);
  EXPECT_NE(ask({0, 0, wide + 1, 9}).find("leaves the picture"), std::string::npos);
  EXPECT_NE(ask({-1, 0, 5, 9}).find("leaves the picture"), std::string::npos);
  EXPECT_NE(ask({0, 0, NAN, 9}).find("not made of numbers"), std::string::npos);
  EXPECT_NE(message_of([&] {
              model().chat(photo, "Hello", std::vector<Box>(101, {0, 0, 5, 5}));
            }).find("fewer boxes"),
            std::string::npos);
}

TEST(Groma, ProposesWhatASessionSees) {
  const auto proposed = model().propose(picture(), all_regions());
  auto session = model().start(picture(), all_regions());
  const auto& seen = session.regions();
  ASSERT_EQ(proposed.size(), seen.size());
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(proposed[i].box, seen[i].box);
}

TEST(Groma, ShuffledRegionsAreTheSameBoxes) {
  auto options = all_regions();
  options.shuffle_seed = 5;
  auto shuffled = model().start(picture(), options);
  auto plain = model().start(picture(), all_regions());
  const auto key = [](const Region& region) { return std::pair(region.box.x1, region.box.y1); };
  std::vector<std::pair<float, float>> a, b;
  for (const auto& region : shuffled.regions()) a.push_back(key(region));
  for (const auto& region : plain.regions()) b.push_back(key(region));
  EXPECT_NE(a, b);
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  EXPECT_EQ(a, b);
}

TEST(Groma, ComputesInBFloat16) {
  TemporaryFolder folder;
  const auto directory = (folder.path() / "model").string();
  init_checkpoint(std::string(GROMA_SOURCE_DIR) + "/tests/data/tiny_config.json", directory,
                  "bfloat16", 3);
  const auto loaded = Groma::load(directory);
  EXPECT_EQ(loaded.info().compute_dtype, "bfloat16");
  const auto answer = loaded.chat(picture(), "Describe.", {{1, 2, 30, 40}}, brief());
  EXPECT_EQ(answer.generated_ids.size(), 6u);
}

}  // namespace
}  // namespace groma
