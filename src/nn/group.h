#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <string_view>

namespace groma::nn {

/// The sub-module at a dotted path below `root`, made of plain containers where missing.
///
/// Checkpoints nest some parameters deeper than our modules do ("attention.attention.query"): the
/// layer is then a member of our module but registered under the checkpoint's name.
inline torch::nn::Module& group(torch::nn::Module& root, std::string_view path) {
  torch::nn::Module* at = &root;
  while (!path.empty()) {
    const auto dot = path.find('.');
    const std::string name(path.substr(0, dot));
    const auto children = at->named_children();
    if (const auto* child = children.find(name)) {
      at = child->get();
    } else {
      at = at->register_module(name, std::make_shared<torch::nn::Module>()).get();
    }
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return *at;
}

}  // namespace groma::nn
