#include "ops/ms_deform_attn/ms_deform_attn.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <cmath>
#include <limits>

#include "ops/ops_support.h"
#include "support.h"

namespace groma {
namespace {

using ops::ms_deform_attn;
using testing::error_of;
using testing::gradient_of;
using testing::largest_difference;
using testing::largest_magnitude;
using testing::numeric_gradient;
using testing::Threads;

using Shapes = std::vector<std::array<int64_t, 2>>;

const Shapes kShapes{{5, 4}, {3, 2}, {1, 1}};  // 27 positions

struct Inputs {
  at::Tensor value, locations, weights;
};

at::Tensor attend(const Inputs& inputs, const Shapes& shapes = kShapes) {
  return ms_deform_attn(inputs.value, shapes, inputs.locations, inputs.weights);
}

// Two images, three heads, two points; a third of the locations lie outside the maps.
Inputs some_inputs(int64_t channels = 3, int64_t queries = 4, at::ScalarType type = at::kDouble) {
  at::manual_seed(11);
  const auto real = type == at::kDouble ? at::kDouble : at::kFloat;
  const auto options = at::dtype(at::kDouble);
  return {at::randn({2, 27, 3, channels}, options).to(type),
          (at::rand({2, queries, 3, 3, 2, 2}, options) * 1.4 - 0.2).to(real),
          at::randn({2, queries, 3, 3, 2}, options).to(real)};
}

Inputs with_gradients(Inputs inputs) {
  inputs.value.requires_grad_();
  inputs.locations.requires_grad_();
  inputs.weights.requires_grad_();
  return inputs;
}

at::Tensor inputs_gradient(const Inputs& inputs, const at::Tensor& output,
                           const at::Tensor& weights) {
  const auto gradients =
      torch::autograd::grad({output}, {inputs.value, inputs.locations, inputs.weights}, {weights});
  return at::cat({gradients[0].flatten().to(at::kDouble), gradients[1].flatten().to(at::kDouble),
                  gradients[2].flatten().to(at::kDouble)});
}

// Every sample weighs its whole map with the tent around its place.
template <typename Real>
at::Tensor reference(const Inputs& inputs, const Shapes& shapes) {
  const auto value = inputs.value.accessor<Real, 4>();
  const auto location = inputs.locations.accessor<Real, 6>();
  const auto weight = inputs.weights.accessor<Real, 5>();
  const int64_t channels = value.size(3);
  at::Tensor output = at::zeros({value.size(0), location.size(1), value.size(2) * channels},
                                inputs.value.options());
  auto out = output.accessor<Real, 3>();
  const auto add_sample = [&](int64_t b, int64_t q, int64_t h, int64_t l, int64_t p,
                              int64_t start) {
    const auto [height, width] = shapes[l];
    const Real x = location[b][q][h][l][p][0] * width - Real(0.5);
    const Real y = location[b][q][h][l][p][1] * height - Real(0.5);
    for (int64_t i = 0; i < height * width; ++i) {
      const Real tent = std::max<Real>(0, 1 - std::abs(y - i / width)) *
                        std::max<Real>(0, 1 - std::abs(x - i % width));
      if (!(tent > 0)) continue;
      for (int64_t c = 0; c < channels; ++c) {
        out[b][q][h * channels + c] += weight[b][q][h][l][p] * tent * value[b][start + i][h][c];
      }
    }
  };
  for (int64_t b = 0; b < location.size(0); ++b) {
    for (int64_t q = 0; q < location.size(1); ++q) {
      for (int64_t h = 0; h < location.size(2); ++h) {
        int64_t start = 0;
        for (int64_t l = 0; l < location.size(3); ++l) {
          for (int64_t p = 0; p < location.size(4); ++p) add_sample(b, q, h, l, p, start);
          start += shapes[l][0] * shapes[l][1];
        }
      }
    }
  }
  return output;
}

TEST(MsDeformAttn, EqualsPlainReferenceInDouble) {
  for (const int64_t channels : {1, 3, 32, 67}) {
    const auto inputs = some_inputs(channels);
    const auto expected = reference<double>(inputs, kShapes);
    EXPECT_LE(largest_difference(attend(inputs), expected), 1e-13) << channels << " channels";
    EXPECT_GT(largest_magnitude(expected), 0.1);
  }
}

TEST(MsDeformAttn, EqualsPlainReferenceInFloat) {
  const auto inputs = some_inputs(32, 50, at::kFloat);
  // A few roundings of numbers up to 10.
  EXPECT_LE(largest_difference(attend(inputs), reference<float>(inputs, kShapes)), 1e-5);
}

TEST(MsDeformAttn, HalfTypesAreTheRoundedFloatResult) {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    auto inputs = some_inputs(19, 4, type);
    const auto output = attend(inputs);
    EXPECT_EQ(output.scalar_type(), type);
    inputs.value = inputs.value.to(at::kFloat);
    EXPECT_TRUE(at::equal(output, attend(inputs).to(type))) << type;
  }
}

TEST(MsDeformAttn, LocationsAndWeightsMayHaveAnotherType) {
  const auto inputs = some_inputs(3, 4, at::kFloat);
  auto doubles = inputs;
  doubles.locations = inputs.locations.to(at::kDouble).requires_grad_();
  doubles.weights = inputs.weights.to(at::kDouble).requires_grad_();
  const auto output = attend(doubles);
  EXPECT_TRUE(at::equal(output, attend(inputs)));
  EXPECT_EQ(gradient_of(output, at::ones_like(output), doubles.locations).scalar_type(),
            at::kDouble);
}

TEST(MsDeformAttn, AnyStridesGiveTheSameResult) {
  const auto inputs = some_inputs();
  const Inputs strided{inputs.value.transpose(1, 2).contiguous().transpose(1, 2),
                       inputs.locations.transpose(2, 3).contiguous().transpose(2, 3),
                       inputs.weights.transpose(3, 4).contiguous().transpose(3, 4)};
  EXPECT_TRUE(at::equal(attend(strided), attend(inputs)));
}

TEST(MsDeformAttn, BatchEntriesDoNotMix) {
  const auto inputs = some_inputs();
  const auto output = attend(inputs);
  for (int64_t b = 0; b < 2; ++b) {
    const Inputs one{inputs.value.slice(0, b, b + 1), inputs.locations.slice(0, b, b + 1),
                     inputs.weights.slice(0, b, b + 1)};
    EXPECT_TRUE(at::equal(attend(one), output.slice(0, b, b + 1)));
  }
}

TEST(MsDeformAttn, NoQueriesGiveEmptyResult) {
  const auto inputs = with_gradients(some_inputs(3, 0));
  const auto output = attend(inputs);
  EXPECT_EQ(output.sizes(), at::IntArrayRef({2, 0, 9}));
  const auto gradient = gradient_of(output, at::ones_like(output), inputs.value);
  EXPECT_TRUE(at::equal(gradient, at::zeros_like(inputs.value)));
}

TEST(MsDeformAttn, SamplesOutsideCountZeroAndSoDoesNaN) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double bad : {kNaN, kInfinity, -kInfinity, 1e300, -3.0, 4.0}) {
    for (int64_t axis = 0; axis < 2; ++axis) {
      auto inputs = some_inputs();
      inputs.locations.select(5, axis).fill_(bad);
      inputs = with_gradients(inputs);
      const auto output = attend(inputs);
      EXPECT_EQ(largest_magnitude(output), 0) << bad;
      EXPECT_TRUE(at::equal(output, at::zeros_like(output))) << bad;
      const auto gradient = inputs_gradient(inputs, output, at::ones_like(output));
      EXPECT_TRUE(at::equal(gradient, at::zeros_like(gradient))) << bad;
    }
  }
}

TEST(MsDeformAttn, GradientsEqualFiniteDifferences) {
  const auto inputs = with_gradients(some_inputs());
  const auto output = attend(inputs);
  const auto weights = at::randn_like(output);
  const auto gradients =
      torch::autograd::grad({output}, {inputs.value, inputs.locations, inputs.weights}, {weights});
  for (size_t i = 0; i < gradients.size(); ++i) {
    const auto loss = [&](const at::Tensor& x) {
      Inputs moved = inputs;
      (i == 0 ? moved.value : i == 1 ? moved.locations : moved.weights) = x;
      return (attend(moved) * weights).sum();
    };
    const auto& input = i == 0 ? inputs.value : i == 1 ? inputs.locations : inputs.weights;
    // Within a pixel the output is a polynomial of second order; a step stays within it.
    EXPECT_LE(largest_difference(gradients[i], numeric_gradient(loss, input)), 1e-7)
        << "input " << i;
    EXPECT_GT(largest_magnitude(gradients[i]), 0.1) << "input " << i;
  }
}

TEST(MsDeformAttn, GradientsOfHalfTypesAreSummedInFloat) {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const auto inputs = with_gradients(some_inputs(19, 4, type));
    const auto output = attend(inputs);
    const auto weights = at::randn_like(output);
    const auto gradient = gradient_of(output, weights, inputs.value);
    EXPECT_EQ(gradient.scalar_type(), type);

    Inputs precise = inputs;
    precise.value = inputs.value.detach().to(at::kFloat).requires_grad_();
    const auto precise_weights = weights.to(at::kFloat);
    EXPECT_TRUE(
        at::equal(gradient, gradient_of(attend(precise), precise_weights, precise.value).to(type)));
    EXPECT_TRUE(at::equal(gradient_of(attend(inputs), weights, inputs.locations),
                          gradient_of(attend(precise), precise_weights, inputs.locations)));
  }
}

TEST(MsDeformAttn, ThreadsDoNotChangeTheResult) {
  const auto inputs = with_gradients(some_inputs(32, 300, at::kFloat));
  const auto run = [&](int threads) {
    const Threads guard(threads);
    const auto output = attend(inputs);
    const auto weights = at::linspace(-1, 1, output.numel()).reshape(output.sizes());
    return std::pair(output.detach(), inputs_gradient(inputs, output, weights));
  };
  const auto [output, gradient] = run(1);
  for (const int threads : {2, 4}) {
    const auto [other_output, other_gradient] = run(threads);
    EXPECT_TRUE(at::equal(output, other_output)) << threads << " threads";
    EXPECT_TRUE(at::equal(gradient, other_gradient)) << threads << " threads";
  }
}

TEST(MsDeformAttn, WorksInInferenceMode) {
  const auto expected = attend(some_inputs());
  const c10::InferenceMode guard;
  EXPECT_TRUE(at::equal(attend(some_inputs()), expected));
}

TEST(MsDeformAttn, RefusesSecondDerivatives) {
  const auto inputs = with_gradients(some_inputs());
  const auto output = attend(inputs);
  EXPECT_EQ(error_of([&] {
              torch::autograd::grad({output.sum()}, {inputs.value}, {}, /*retain_graph=*/true,
                                    /*create_graph=*/true);
            }),
            "ms_deform_attn: has first derivatives only");
}

TEST(MsDeformAttn, ErrorsNameBothSides) {
  const auto inputs = some_inputs();
  const auto error = [](const Inputs& bad, const Shapes& shapes = kShapes) {
    return error_of([&] { attend(bad, shapes); });
  };
  EXPECT_EQ(error({inputs.value[0], inputs.locations, inputs.weights}),
            "ms_deform_attn: value is [27, 3, 3], expected [B, N, heads, C]");
  EXPECT_EQ(error(inputs, {{5, 4}, {3, 2}, {1, 2}}),
            "ms_deform_attn: value holds 27 positions, the levels hold 28");
  EXPECT_EQ(error(inputs, {{5, 4}, {-3, -2}, {1, 1}}),
            "ms_deform_attn: a level is -3x-2, each side must be at least 1");
  EXPECT_EQ(error(inputs, {}), "ms_deform_attn: got 0 levels, expected 1 to 8");
  EXPECT_EQ(error(inputs, Shapes(9, {1, 3})), "ms_deform_attn: got 9 levels, expected 1 to 8");
  EXPECT_EQ(
      error({inputs.value, inputs.locations.slice(3, 1), inputs.weights}),
      "ms_deform_attn: sampling locations are [2, 4, 3, 2, 2, 2], expected [2, Q, 3, 3, P, 2]");
  EXPECT_EQ(error({inputs.value, inputs.locations, inputs.weights.slice(1, 1)}),
            "ms_deform_attn: attention weights are [2, 3, 3, 3, 2], expected [2, 4, 3, 3, 2]");
  EXPECT_EQ(error({inputs.value, inputs.locations.to(at::kLong), inputs.weights}),
            "ms_deform_attn: got a tensor of Long, expected floating types");
  EXPECT_EQ(error({inputs.value, inputs.locations.to(at::kMeta), inputs.weights}),
            "ms_deform_attn: value lies on cpu, another tensor on meta");
  EXPECT_EQ(error({inputs.value.to(at::kMeta), inputs.locations, inputs.weights}),
            "ms_deform_attn: tensors lie on meta, expected cpu or cuda");
}

#ifdef GROMA_WITH_CUDA
TEST(MsDeformAttn, CudaEqualsCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const int64_t channels : {5, 32}) {  // alone and in vectors
      const auto inputs = with_gradients(some_inputs(channels, 40, type));
      const auto output = attend(inputs);
      const auto weights = at::randn_like(output);
      const auto gradient = inputs_gradient(inputs, output, weights);

      const auto on_gpu =
          with_gradients({inputs.value.detach().cuda(), inputs.locations.detach().cuda(),
                          inputs.weights.detach().cuda()});
      const auto gpu_output = attend(on_gpu);
      const auto gpu_gradient = inputs_gradient(on_gpu, gpu_output, weights.cuda());
      // One rounding of the result; in float some of the sums in another order.
      const double tolerance = type == at::kBFloat16 ? 8e-3 : type == at::kHalf ? 1e-3 : 1e-5;
      EXPECT_LE(largest_difference(gpu_output.cpu(), output),
                tolerance * largest_magnitude(output));
      EXPECT_LE(largest_difference(gpu_gradient.cpu(), gradient),
                tolerance * largest_magnitude(gradient));
    }
  }
}
#endif

}  // namespace
}  // namespace groma
