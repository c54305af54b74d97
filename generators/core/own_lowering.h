// What Halide has no words for, made of calls once its own lowering is done.
#pragma once

#include <Halide.h>

#include <set>
#include <string>

namespace nitrix {

// The address of an element of a Func that is stored when this is reached.
inline Halide::Expr address_of(const Halide::Expr &element) {
    using Halide::Internal::Call;
    return Call::make(Halide::UInt(64), "nitrix_address_of", {element}, Call::Extern);
}

// Whether a function of the runtime says so. A schedule may specialise on its negation: Halide itself knows inside a
// specialisation no more than what a comparison with one variable tells.
inline Halide::Expr decided_by(const std::string &function, const std::vector<Halide::Expr> &arguments) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), "nitrix_whether_" + function, arguments, Call::PureExtern) == 1;
}

class OwnLowering : public Halide::Internal::IRMutator {
    using IRMutator::visit;

    Halide::Expr visit(const Halide::Internal::Call *call) override {
        using namespace Halide;
        if (denied_.count(call->name))
            return 0;
        if (call->name != "nitrix_address_of")
            return IRMutator::visit(call);
        const auto *load = call->args[0].as<Internal::Load>();
        _halide_user_assert(load) << "address_of: " << call->args[0] << " is not stored";
        return reinterpret<uint64_t>(Internal::Variable::make(Handle(), load->name)) +
               cast<uint64_t>(cast<int64_t>(mutate(load->index)) * load->type.bytes());
    }

    Halide::Internal::Stmt visit(const Halide::Internal::IfThenElse *branch) override {
        const Halide::Expr condition = mutate(branch->condition);
        const std::set<std::string> before = denied_;
        deny(branch->condition);
        const Halide::Internal::Stmt then_case = mutate(branch->then_case);
        denied_ = before;
        return Halide::Internal::IfThenElse::make(condition, then_case, mutate(branch->else_case));
    }

    void deny(const Halide::Expr &condition) {
        using namespace Halide::Internal;
        if (const auto *both = condition.as<And>()) {
            deny(both->a);
            deny(both->b);
        }
        const auto *differs = condition.as<NE>();
        const auto *call = differs ? differs->a.as<Call>() : nullptr;
        if (call && call->name.rfind("nitrix_whether_", 0) == 0 && is_const_one(differs->b))
            denied_.insert(call->name);
    }

    std::set<std::string> denied_; // functions that have said no
};

} // namespace nitrix
