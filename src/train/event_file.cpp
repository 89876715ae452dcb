#include "train/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "check.h"
#include "io/file.h"

namespace groma::train {
namespace {

/// Bytes of a number, lowest first.
template <typename T>
std::string little(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

// Fields of a protocol buffer: number and wire type, then the value.
std::string key(int field, int wire) {
  return varint(static_cast<std::uint64_t>(field << 3 | wire));
}
std::string number(int field, std::int64_t value) {
  return key(field, 0) + varint(static_cast<std::uint64_t>(value));
}
std::string real(int field, double value) {
  return key(field, 1) + little(std::bit_cast<std::uint64_t>(value));
}
std::string real(int field, float value) {
  return key(field, 5) + little(std::bit_cast<std::uint32_t>(value));
}
std::string bytes(int field, const std::string& value) {
  return key(field, 2) + varint(value.size()) + value;
}

/// Event.wall_time and Event.step.
std::string event_at(std::int64_t step) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return real(1, std::chrono::duration<double>(now).count()) + number(2, step);
}

std::string masked_crc(const std::string& text) {
  const auto crc = crc32c(text);
  return little(static_cast<std::uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8u));
}

}  // namespace

std::uint32_t crc32c(const std::string& text) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < entries.size(); ++i) {
      auto value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
      entries[i] = value;
    }
    return entries;
  }();
  std::uint32_t crc = ~0u;
  for (const char c : text) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

EventFile::EventFile(const std::string& folder, std::int64_t first_step) {
  io::make_folder(folder);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  path_ = folder + "/events.out.tfevents." + std::to_string(seconds) + ".groma." +
          std::to_string(::getpid());
  out_.open(path_, std::ios::binary | std::ios::app);
  record(event_at(0) + bytes(3, "brain.Event:2"));
  constexpr int kSessionLog = 7, kStart = 1;
  if (first_step > 0) record(event_at(first_step) + bytes(kSessionLog, number(1, kStart)));
  flush();
}

void EventFile::add(std::int64_t step, const std::string& name, double value) {
  constexpr int kSummary = 5, kTag = 1, kSimpleValue = 2;
  const auto scalar = bytes(kTag, name) + real(kSimpleValue, static_cast<float>(value));
  record(event_at(step) + bytes(kSummary, bytes(1, scalar)));
}

void EventFile::record(const std::string& event) {
  const auto length = little(static_cast<std::uint64_t>(event.size()));
  out_ << length << masked_crc(length) << event << masked_crc(event);
}

void EventFile::flush() {
  out_.flush();
  require(out_.good(), "train: cannot write ", io::quote(path_), "; is the disk full?");
}

}  // namespace groma::train
