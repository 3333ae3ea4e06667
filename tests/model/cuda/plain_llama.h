// A stack of Llama blocks done plainly, in double, a session at a time: what gpu_llama.h and
// gpu_lm.h are held against.
#pragma once

#include <cmath>
#include <deque>
#include <vector>

#include "model/cuda/gpu_llama.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {

using Doubles = std::vector<double>;

// [n, k] with n * k numbers that T has.
template <typename T>
std::vector<float> RandomMatrix(RandomCase* random, int n, int k) {
  std::vector<float> weight(int64_t{n} * k);
  for (float& w : weight) w = ToFloat(Of<T>(random->Normal() / std::sqrt(static_cast<float>(k))));
  return weight;
}
inline Doubles Times(const std::vector<float>& weight, const Doubles& x) {
  Doubles y(weight.size() / x.size());
  for (size_t i = 0; i < weight.size(); ++i) y[i / x.size()] += weight[i] * x[i % x.size()];
  return y;
}

struct PlainWeights {
  std::vector<LlamaBlockWeights> blocks;
  std::vector<float> gain;  // of the last norm
};

template <typename T>
PlainWeights RandomWeights(const LlamaShape& s, RandomCase* random) {
  PlainWeights w;
  const auto gain = [&] {
    std::vector<float> values(s.width);
    for (float& g : values) g = 1 + random->Normal() / 4;
    return values;
  };
  const int inner = s.heads * s.head_dim;
  for (int i = 0; i < s.layers; ++i) {
    w.blocks.push_back(
        {.attention_gain = gain(),
         .qkv = RandomMatrix<T>(random, inner + 2 * s.kv_heads * s.head_dim, s.width),
         .out = RandomMatrix<T>(random, s.width, inner),
         .mlp_gain = gain(),
         .gate_up = RandomMatrix<T>(random, 2 * s.mlp, s.width),
         .down = RandomMatrix<T>(random, s.width, s.mlp)});
  }
  w.gain = gain();
  return w;
}

class PlainLlama {
 public:
  // Both outlive it.
  PlainLlama(const LlamaShape* shape, const PlainWeights* weights)
      : s_(*shape), w_(*weights), caches_(s_.layers) {}

  // A token's row -> what leaves the last norm.
  Doubles Next(Doubles x) {
    for (int i = 0; i < s_.layers; ++i) {
      const LlamaBlockWeights& b = w_.blocks[i];
      Add(Times(b.out, Attend(Times(b.qkv, Norm(x, b.attention_gain)), &caches_[i])), &x);
      const Doubles gate_up = Times(b.gate_up, Norm(x, b.mlp_gain));
      Doubles mlp(s_.mlp);
      for (int m = 0; m < s_.mlp; ++m) {
        mlp[m] = gate_up[m] / (1 + std::exp(-gate_up[m])) * gate_up[s_.mlp + m];
      }
      Add(Times(b.down, mlp), &x);
    }
    ++position_;
    return Norm(x, w_.gain);
  }
  int64_t position() const { return position_; }

 private:
  struct Token {
    Doubles keys, values;
  };

  static void Add(const Doubles& branch, Doubles* x) {
    for (size_t i = 0; i < x->size(); ++i) (*x)[i] += branch[i];
  }
  Doubles Norm(Doubles x, const std::vector<float>& gain) const {
    double squares = 0;
    for (double v : x) squares += v * v;
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] *= gain[i] / std::sqrt(squares / static_cast<double>(x.size()) + s_.epsilon);
    }
    return x;
  }
  void Turn(double* head) const {
    const int half = s_.head_dim / 2;
    for (int i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position_) * std::pow(s_.rope_base, -2.0 * i / s_.head_dim);
      const double a = head[i], b = head[half + i];
      head[i] = a * std::cos(angle) - b * std::sin(angle);
      head[half + i] = b * std::cos(angle) + a * std::sin(angle);
    }
  }
  Doubles Attend(Doubles qkv, std::deque<Token>* cache) const {
    const int dim = s_.head_dim, queries = s_.heads * dim, keys = s_.kv_heads * dim;
    for (int at = 0; at < queries + keys; at += dim) Turn(&qkv[at]);
    const auto keys_begin = qkv.begin() + queries, values_begin = keys_begin + keys;
    cache->push_back({{keys_begin, values_begin}, {values_begin, qkv.end()}});
    if (cache->size() > static_cast<size_t>(s_.capacity)) cache->pop_front();
    Doubles out(queries);
    for (int head = 0; head < s_.heads; ++head) {
      const int from = head / (s_.heads / s_.kv_heads) * dim;
      double total = 0;
      for (const Token& token : *cache) {
        double score = 0;
        for (int d = 0; d < dim; ++d) score += qkv[head * dim + d] * token.keys[from + d];
        const double weight = std::exp(score / std::sqrt(dim));
        total += weight;
        for (int d = 0; d < dim; ++d) out[head * dim + d] += weight * token.values[from + d];
      }
      for (int d = 0; d < dim; ++d) out[head * dim + d] /= total;
    }
    return out;
  }

  const LlamaShape& s_;
  const PlainWeights& w_;
  std::vector<std::deque<Token>> caches_;
  int64_t position_ = 0;
};

}  // namespace firstbyte::cuda
