#pragma once

#include <cstdint>
#include <span>

#include "lille/model_args.h"
#include "ops/device.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"

namespace lille::ops {

// Gradients of ops: d_y is the derivative of a number by an op's output y, d_x what follows for its input x.

/// Of rms_norm: d_x += the derivative by x, r = 1 / sqrt(mean(x^2) + eps):
/// r * (d_y * weight) - x * r^3 * mean(d_y * weight * x).
/// @param d_x, d_y, x  (n_rows, n); none may alias.
/// @throws Error(kInvalidShape)
void rms_norm_gradient(Device& device, Rows d_x, Rows d_y, Rows x, const NormWeight& weight, float eps);

/// Of swiglu, s = 1 / (1 + exp(-gate)): d_gate = d_y * up * s * (1 + gate * (1 - s)), d_up = d_y * gate * s.
/// @param d_gate, d_up, d_y, gate, up  (n_rows, hidden_dim); d_y may be d_gate or d_up.
/// @throws Error(kInvalidShape)
void swiglu_gradient(Device& device, Rows d_gate, Rows d_up, Rows d_y, Rows gate, Rows up);

/// Of rope, in place: the transpose of what rope does to each head.
/// @param d_x  (n_rows, n_heads * head_dim), row r at position r.
/// @throws Error(kInvalidShape)
void rope_gradient(Device& device, Rows d_x, const RopeTable& table, RopeLayout layout);

/// Of softmax(scale * scores) over the columns up to the row's own number, in place: d_y becomes d_scores.
/// @param d_y, weights  (n, n); weights are what the softmax gave, zeros after the diagonal.
/// @throws Error(kInvalidShape)
void causal_softmax_gradient(Device& device, Rows d_y, Rows weights, float scale);

/// softmax(scale * scores) over the columns up to the row's own number, zeros after it; in place.
/// @param scores  (n, n)
/// @throws Error(kInvalidShape)
void causal_softmax(Device& device, Rows scores, float scale);

}  // namespace lille::ops
