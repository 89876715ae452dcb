#include "train/instruct.h"

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "check.h"
#include "groma/groma.h"
#include "groma/image.h"
#include "image/draw.h"
#include "io/file.h"
#include "io/new_folder.h"
#include "train/own_images.h"

namespace groma::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kTask =
    "You write training conversations for an assistant that points at regions of a picture. The "
    "picture carries numbered boxes. You also get what is known of each box. Write one "
    "conversation of 2 to 4 turns between a user and the assistant: about what things are, where "
    "they are, how they relate, and what follows from that. Ask nothing that the picture does not "
    "answer. Never speak of numbers, marks or boxes as such.\n"
    "A user's question may mention a region as [3]. An answer puts the words for a thing between "
    "<p> and </p> and right behind it the numbers of its boxes, as <p>two cups</p>[1][4]. Every "
    "conversation names at least one region.\n"
    "Answer with JSON alone: {\"turns\": [{\"question\": \"...\", \"answer\": \"...\"}]}";

constexpr const char* kExample =
    "{\"turns\": [{\"question\": \"What is [2] doing?\", \"answer\": \"<p>The man</p>[2] holds "
    "<p>a cup</p>[5] and looks at <p>the dog</p>[1].\"}, {\"question\": \"Could the dog reach the "
    "cup?\", \"answer\": \"No, <p>the cup</p>[5] is far above <p>it</p>[1].\"}]}";

std::string base64(const std::string& bytes) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (int k = 0; k < 4; ++k) text += kDigits[three >> (18 - 6 * k) & 63];
  }
  for (size_t pad = (3 - bytes.size() % 3) % 3, k = 0; k < pad; ++k)
    text[text.size() - 1 - k] = '=';
  return text;
}

/// What the annotations say of each object of a picture.
std::vector<std::vector<std::string>> known_of(const OwnImage& image, const OwnImages& all) {
  std::vector<std::vector<std::string>> known(image.objects.size());
  const auto add = [&](int object, const std::string& text) {
    auto& texts = known[object];
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  };
  for (size_t i = 0; i < image.objects.size(); ++i) {
    if (image.objects[i].kind >= 0) add(static_cast<int>(i), all.kinds[image.objects[i].kind]);
  }
  for (const auto& question : image.questions) {
    for (const int object : question.objects) add(object, question.text);
  }
  return known;
}

/// Objects that get a number: those of which most is known, in the order of the file.
std::vector<int> chosen(const std::vector<std::vector<std::string>>& known, int most) {
  std::vector<int> order(known.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return known[a].size() > known[b].size(); });
  order.resize(std::min<size_t>(order.size(), static_cast<size_t>(most)));
  std::sort(order.begin(), order.end());
  return order;
}

/// The picture with its boxes numbered from 1.
Image marked(const Image& image, const OwnImage& own, const std::vector<int>& objects,
             int longest) {
  const auto small = thumbnail(image, longest);
  const double x = static_cast<double>(small.width()) / image.width();
  const double y = static_cast<double>(small.height()) / image.height();
  ChatResult marks;
  for (size_t k = 0; k < objects.size(); ++k) {
    const auto& box = own.objects[objects[k]].xyxy;
    const auto at = [&](int i) { return static_cast<float>(box[i] * (i % 2 == 0 ? x : y)); };
    Phrase phrase;
    phrase.regions.push_back({static_cast<int>(k) + 1, {at(0), at(1), at(2), at(3)}, 1});
    marks.phrases.push_back(std::move(phrase));
  }
  return draw_answer(small, marks);
}

/// "1: cup; the red cup (x 0.10 to 0.32, y 0.55 to 0.80)", a line a region.
std::string context(const OwnImage& image, const std::vector<std::vector<std::string>>& known,
                    const std::vector<int>& objects) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2);
  for (size_t k = 0; k < objects.size(); ++k) {
    const auto& box = image.objects[objects[k]].xyxy;
    text << k + 1 << ": ";
    for (size_t i = 0; i < known[objects[k]].size(); ++i) {
      text << (i ? "; " : "") << known[objects[k]][i];
    }
    text << " (x " << box[0] / image.width << " to " << box[2] / image.width << ", y "
         << box[1] / image.height << " to " << box[3] / image.height << ")\n";
  }
  return text.str();
}

Json request_of(const std::string& id, const std::string& model, const std::string& text,
                const std::string& jpeg) {
  Json picture = {{"type", "image_url"},
                  {"image_url", {{"url", "data:image/jpeg;base64," + base64(jpeg)}}}};
  Json system = {{"role", "system"},
                 {"content", std::string(kTask) + "\nFor example: " + kExample}};
  Json user = {{"role", "user"},
               {"content", Json::array({{{"type", "text"}, {"text", text}}, picture})}};
  Json request;
  request["custom_id"] = id;
  request["method"] = "POST";
  request["url"] = "/v1/chat/completions";
  request["body"] = {{"model", model}, {"messages", Json::array({system, user})}};
  return request;
}

Json regions_line(const std::string& id, const OwnImage& image, const std::vector<int>& objects) {
  Json line;
  line["id"] = id;
  line["image"] = fs::absolute(image.file).lexically_normal().string();
  line["width"] = image.width;
  line["height"] = image.height;
  line["boxes"] = Json::array();
  for (const int object : objects) line["boxes"].push_back(image.objects[object].xyxy);
  return line;
}

std::string number_of(std::int64_t index) {
  std::ostringstream text;
  text << std::setw(6) << std::setfill('0') << index;
  return text.str();
}

}  // namespace

std::int64_t prepare_instruct(const InstructOptions& options) {
  constexpr std::size_t kMostJpeg = std::size_t{1} << 30;
  const fs::path folder(options.folder);
  io::require_new_folder(options.folder, "prepare requests");
  require(options.most_regions >= 1 && options.most_regions <= 100,
          "prepare requests: ", options.most_regions, " regions a picture; give 1 to 100");
  require(options.longest_side >= 64, "prepare requests: pictures of ", options.longest_side,
          " pixels; give 64 or more");
  const auto data = read_own_images(options.data, true, options.skip_wrong, options.on_note);
  io::make_folder((folder / "marked").string());
  io::AtomicFile requests((folder / "requests.jsonl").string());
  io::AtomicFile regions((folder / "regions.jsonl").string());
  std::int64_t count = 0;
  for (const auto& image : data.images) {
    if (image.objects.empty()) continue;
    const auto picture = Image::open(image.file);
    require(picture.width() == image.width && picture.height() == image.height, image.where, ": ",
            io::quote(image.file), " is ", picture.width(), " x ", picture.height(),
            " pixels, the annotations say ", image.width, " x ", image.height);
    const auto id = number_of(++count);
    const auto known = known_of(image, data);
    const auto objects = chosen(known, options.most_regions);
    const auto file = (folder / "marked" / (id + ".jpg")).string();
    marked(picture, image, objects, options.longest_side).save(file);
    const auto text = "The numbered boxes:\n" + context(image, known, objects);
    const auto jpeg = io::read_text_file(file, kMostJpeg);
    requests.write(request_of(id, options.service_model, text, jpeg).dump() + "\n");
    regions.write(regions_line(id, image, objects).dump() + "\n");
  }
  requests.commit();
  regions.commit();
  return count;
}

}  // namespace groma::train
