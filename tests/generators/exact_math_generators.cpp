// y[i] = f(x[i]) for each function of exact_math.h, so that a test can call it for one target, dtype and FMA mode.
#include "Halide.h"
#include "generators/core/exact_math.h"

namespace {

namespace exact = nitrix::exact;
using Halide::Expr;

template <typename Kernel> class ExactKernel : public Halide::Generator<Kernel> {
public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<exact::FMA> fma{
        "fma",
        exact::FMA::Fused,
        {{"fused", exact::FMA::Fused}, {"unfused", exact::FMA::Unfused}, {"emulated", exact::FMA::Emulated}}};

protected:
    Halide::Var i{"i"};

    void vectorize(Halide::Func out) {
        const int lanes = this->natural_vector_size(static_cast<Halide::Type>(type));
        out.vectorize(i, lanes, Halide::TailStrategy::GuardWithIf);
    }
};

template <Expr (*function)(exact::FMA, Expr)> class Unary : public ExactKernel<Unary<function>> {
public:
    Halide::GeneratorInput<Halide::Buffer<void, 1>> x{"x"};
    Halide::GeneratorOutput<Halide::Buffer<void, 1>> y{"y"};

    void configure() {
        x.set_type(this->type);
        y.set_type(this->type);
    }
    void generate() {
        y(this->i) = function(this->fma, x(this->i));
        this->vectorize(y);
    }
};

class Fma : public ExactKernel<Fma> {
public:
    Input<Halide::Buffer<void, 1>> a{"a"}, b{"b"}, c{"c"};
    Output<Halide::Buffer<void, 1>> y{"y"};

    void configure() {
        a.set_type(type);
        b.set_type(type);
        c.set_type(type);
        y.set_type(type);
    }
    void generate() {
        y(i) = exact::fma(fma, a(i), b(i), c(i));
        vectorize(y);
    }
};

class OrderedMax : public ExactKernel<OrderedMax> {
public:
    Input<Halide::Buffer<void, 1>> s{"s"}, v{"v"};
    Output<Halide::Buffer<void, 1>> largest{"largest"}, smallest{"smallest"};

    void configure() {
        s.set_type(type);
        v.set_type(type);
        largest.set_type(type);
        smallest.set_type(type);
    }
    void generate() {
        largest(i) = exact::ordered_max(s(i), v(i));
        smallest(i) = exact::ordered_min(s(i), v(i));
        vectorize(largest);
        vectorize(smallest);
    }
};

using Exp = Unary<exact::exp>;
using ExpNonpositive = Unary<exact::exp_nonpositive>;
Expr exp_of_share(exact::FMA mode, Expr x) { return exact::exp_of_share(mode, x); }
using ExpOfShare = Unary<exp_of_share>;
using Log = Unary<exact::log>;

} // namespace

HALIDE_REGISTER_GENERATOR(Exp, exact_exp)
HALIDE_REGISTER_GENERATOR(ExpNonpositive, exact_exp_nonpositive)
HALIDE_REGISTER_GENERATOR(ExpOfShare, exact_exp_of_share)
HALIDE_REGISTER_GENERATOR(Log, exact_log)
HALIDE_REGISTER_GENERATOR(Fma, exact_fma)
HALIDE_REGISTER_GENERATOR(OrderedMax, exact_ordered)
