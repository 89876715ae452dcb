#pragma once

#include <string>
#include <string_view>

namespace groma {

/// Checks sentencepiece's compiled normalisation: a double array and the texts that it points to.
///
/// The library trusts it: a crafted one makes its search read outside the array, return more
/// matches than it has room for, or run out of the texts.
///
/// name      stands for the file in messages
/// throws    Error when any input could do that
/// source    Darts-clone `DoubleArrayImpl::commonPrefixSearch`; sentencepiece `normalizer.cc`
void validate_charsmap(std::string_view charsmap, const std::string& name);

}  // namespace groma
