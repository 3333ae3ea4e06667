// Products by cuBLASLt, which is opened at run time: it is 540 MB that the plugin need not carry,
// and without it the plugin still loads and says what is missing.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>

#include "model/cuda/device.cuh"

namespace firstbyte::cuda {

// cuBLASLt counts columns first, so its matrices are ours transposed: y' = weights x'.
struct Product {
  ProductShape shape;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t weights = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};
};

namespace {

constexpr int kTried = 32;  // algorithms that are looked at
constexpr int kAlignment = 16;

// The functions of cuBLASLt that are used.
#define FIRSTBYTE_FOR_EACH(F)             \
  F(cublasLtCreate)                       \
  F(cublasLtDestroy)                      \
  F(cublasLtMatmul)                       \
  F(cublasLtMatmulAlgoCheck)              \
  F(cublasLtMatmulAlgoConfigGetAttribute) \
  F(cublasLtMatmulAlgoGetHeuristic)       \
  F(cublasLtMatmulDescCreate)             \
  F(cublasLtMatmulDescDestroy)            \
  F(cublasLtMatmulDescSetAttribute)       \
  F(cublasLtMatmulPreferenceCreate)       \
  F(cublasLtMatmulPreferenceDestroy)      \
  F(cublasLtMatmulPreferenceSetAttribute) \
  F(cublasLtMatrixLayoutCreate)           \
  F(cublasLtMatrixLayoutDestroy)          \
  F(cublasLtMatrixLayoutSetAttribute)

// Those functions, by their own names.
struct Library {
  char missing[100] = "";  // what is wrong with it
#define FIRSTBYTE_POINTER(name) decltype(&::name) name = nullptr;
  FIRSTBYTE_FOR_EACH(FIRSTBYTE_POINTER)
#undef FIRSTBYTE_POINTER

  template <typename F>
  void Find(void* library, const char* name, F* function) {
    *function = reinterpret_cast<F>(dlsym(library, name));
    if (*function == nullptr) std::snprintf(missing, sizeof(missing), "it lacks %s", name);
  }
};

Library OpenLibrary() {
  Library lt;
  void* library = nullptr;
  for (const char* path : {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13",
                           "/usr/local/cuda/lib/libcublasLt.so.13"}) {
    if (library == nullptr) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    std::snprintf(lt.missing, sizeof(lt.missing), "it cannot be found");
    return lt;
  }
#define FIRSTBYTE_FIND(name) lt.Find(library, #name, &lt.name);
  FIRSTBYTE_FOR_EACH(FIRSTBYTE_FIND)
#undef FIRSTBYTE_FIND
  return lt;
}

const Library& Lt() {
  static const Library library = OpenLibrary();
  return library;
}

Code CheckLt(cublasStatus_t status, Fault* fault) {
  if (status == CUBLAS_STATUS_SUCCESS) return Code::kOk;
  const bool memory = status == CUBLAS_STATUS_ALLOC_FAILED;
  const bool step = status == CUBLAS_STATUS_INVALID_VALUE || status == CUBLAS_STATUS_NOT_SUPPORTED;
  return Fail(memory ? Code::kOutOfMemory
              : step ? Code::kBadStep
                     : Code::kLost,
              fault, "cuBLASLt: status %d", static_cast<int>(status));
}

cudaDataType_t TypeOf(Number number) {
  if (number == Number::kF16) return CUDA_R_16F;
  return number == Number::kBf16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <typename T>
Code Describe(Product* product, cublasLtMatmulDescAttributes_t attribute, const T& value,
              Fault* fault) {
  return CheckLt(
      Lt().cublasLtMatmulDescSetAttribute(product->description, attribute, &value, sizeof(value)),
      fault);
}

Code DescribeProduct(Product* product, Fault* fault) {
  const ProductShape& s = product->shape;
  const auto compute =
      s.number == Number::kTf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  Code code =
      CheckLt(Lt().cublasLtMatmulDescCreate(&product->description, compute, CUDA_R_32F), fault);
  if (code == Code::kOk) {
    code = Describe(product, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T, fault);
  }
  if (code != Code::kOk || !s.bias) return code;
  code = Describe(product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS, fault);
  // An address that is never read: algorithms are chosen for a bias that is aligned like this one.
  const void* bias = reinterpret_cast<const void*>(uintptr_t{256});
  if (code == Code::kOk) code = Describe(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, fault);
  return code;
}

Code LayOut(Product* product, Fault* fault) {
  const ProductShape& s = product->shape;
  const cudaDataType_t in = TypeOf(s.number), out = s.wide ? CUDA_R_32F : in;
  const auto make = Lt().cublasLtMatrixLayoutCreate;
  Code code = CheckLt(make(&product->weights, in, s.k, s.n, s.k), fault);
  if (code == Code::kOk) {
    code = CheckLt(make(&product->x, in, s.k, s.most_rows, s.x_stride), fault);
  }
  if (code == Code::kOk) {
    code = CheckLt(make(&product->y, out, s.n, s.most_rows, s.y_stride), fault);
  }
  return code;
}

Code SetRows(const Product* product, int rows, Fault* fault) {
  const uint64_t columns = rows;
  Code code = Code::kOk;
  for (cublasLtMatrixLayout_t layout : {product->x, product->y}) {
    if (code != Code::kOk) break;
    code = CheckLt(Lt().cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_COLS,
                                                         &columns, sizeof(columns)),
                   fault);
  }
  return code;
}

// Without parts of k that are added up in an order of their own, and without memory to keep them.
Code Prefer(cublasLtMatmulPreference_t preference, Fault* fault) {
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return CheckLt(
        Lt().cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
        fault);
  };
  const uint64_t workspace = 0;
  const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = kAlignment;
  Code code = set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  if (code == Code::kOk) code = set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
  for (auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    if (code == Code::kOk) code = set(attribute, alignment);
  }
  return code;
}

bool SplitsK(const cublasLtMatmulAlgo_t& algorithm) {
  int32_t parts = 0;
  size_t written = 0;
  const cublasStatus_t status = Lt().cublasLtMatmulAlgoConfigGetAttribute(
      &algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof(parts), &written);
  return status != CUBLAS_STATUS_SUCCESS || parts > 1;
}

bool Runs(cublasLtHandle_t handle, const Product& p, const cublasLtMatmulAlgo_t& algorithm,
          int rows) {
  cublasLtMatmulHeuristicResult_t result;
  return SetRows(&p, rows, nullptr) == Code::kOk &&
         Lt().cublasLtMatmulAlgoCheck(handle, p.description, p.weights, p.x, p.y, p.y, &algorithm,
                                      &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize == 0;
}

// The first that cuBLASLt proposes for the most rows and that takes a single row, too.
Code Choose(cublasLtHandle_t handle, Product* product, Fault* fault) {
  cublasLtMatmulPreference_t preference = nullptr;
  Code code = CheckLt(Lt().cublasLtMatmulPreferenceCreate(&preference), fault);
  if (code != Code::kOk) return code;
  std::unique_ptr<cublasLtMatmulHeuristicResult_t[]> found(
      new (std::nothrow) cublasLtMatmulHeuristicResult_t[kTried]);
  if (found == nullptr) code = Fail(Code::kOutOfMemory, fault, "no memory");
  if (code == Code::kOk) code = Prefer(preference, fault);
  int count = 0;
  if (code == Code::kOk) {
    code = CheckLt(Lt().cublasLtMatmulAlgoGetHeuristic(
                       handle, product->description, product->weights, product->x, product->y,
                       product->y, preference, kTried, found.get(), &count),
                   fault);
  }
  Lt().cublasLtMatmulPreferenceDestroy(preference);
  if (code != Code::kOk) return code;
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulAlgo_t& algorithm = found[i].algo;
    if (found[i].state != CUBLAS_STATUS_SUCCESS || SplitsK(algorithm)) continue;
    if (!Runs(handle, *product, algorithm, 1)) continue;
    if (!Runs(handle, *product, algorithm, product->shape.most_rows)) continue;
    product->algorithm = algorithm;
    return Code::kOk;
  }
  return Fail(Code::kBadStep, fault, "cuBLASLt has no algorithm for %d rows of %d by %d",
              product->shape.most_rows, product->shape.n, product->shape.k);
}

}  // namespace

Code FindLibraries(Fault* fault) {
  if (Lt().missing[0] == '\0') return Code::kOk;
  return Fail(Code::kNoLibrary, fault,
              "libcublasLt.so.13 is missing (%s): install CUDA 13's cuBLAS, or put the folder of "
              "the wheel nvidia-cublas that has it into LD_LIBRARY_PATH",
              Lt().missing);
}

Code OpenProducts(Device* device, Fault* fault) {
  const Code code = FindLibraries(fault);
  return code == Code::kOk ? CheckLt(Lt().cublasLtCreate(&device->products), fault) : code;
}

void CloseProducts(Device* device) {
  if (device->products != nullptr) Lt().cublasLtDestroy(device->products);
}

Code NewProduct(Device* device, const ProductShape* shape, Product** product, Fault* fault) {
  Code code = CheckIdle(device, fault);
  if (code == Code::kOk && !shape->fits()) {
    code = Fail(Code::kBadStep, fault, "a product was given a shape it cannot have");
  }
  if (code != Code::kOk) return code;
  auto* made = new (std::nothrow) Product{*shape};
  if (made == nullptr) return Fail(Code::kOutOfMemory, fault, "no memory");
  code = DescribeProduct(made, fault);
  if (code == Code::kOk) code = LayOut(made, fault);
  if (code == Code::kOk) code = Choose(device->products, made, fault);
  if (code == Code::kOk) {
    *product = made;
  } else {
    FreeProduct(device, made);
  }
  return code;
}

void FreeProduct(Device*, Product* product) {
  for (cublasLtMatrixLayout_t layout : {product->weights, product->x, product->y}) {
    if (layout != nullptr) Lt().cublasLtMatrixLayoutDestroy(layout);
  }
  if (product->description != nullptr) Lt().cublasLtMatmulDescDestroy(product->description);
  delete product;
}

Code Multiply(Device* device, Queue queue, const Product* product, const ProductStep* step,
              Fault* fault) {
  const ProductShape& shape = product->shape;
  Code code = CheckTakes(device, queue, fault);
  if (code == Code::kOk && (step->rows < 0 || step->rows > shape.most_rows)) {
    code = Fail(Code::kBadStep, fault, "a product was given more rows than it was made for");
  }
  if (code != Code::kOk || step->rows == 0) return code;
  code = SetRows(product, step->rows, fault);
  if (code == Code::kOk && shape.bias) {
    code = CheckLt(
        Lt().cublasLtMatmulDescSetAttribute(product->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                            &step->bias, sizeof(step->bias)),
        fault);
  }
  if (code != Code::kOk) return code;
  const float one = 1, before = shape.add ? 1 : 0;
  code = CheckLt(Lt().cublasLtMatmul(device->products, product->description, &one, step->weights,
                                     product->weights, step->x, product->x, &before, step->y,
                                     product->y, step->y, product->y, &product->algorithm, nullptr,
                                     0, device->stream(queue)),
                 fault);
  return code == Code::kOk ? FinishProduct(device, queue, shape, *step, fault) : code;
}

}  // namespace firstbyte::cuda
