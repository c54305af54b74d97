// What Halide has no words for, made of calls once its own lowering is done.
#pragma once

#include <Halide.h>

#include <map>
#include <string>
#include <vector>

#include "generators/core/requests.h"

namespace nitrix {

// The address of an element of a Func that is stored when this is reached.
inline Halide::Expr address_of(const Halide::Expr &element) {
    using Halide::Internal::Call;
    return Call::make(Halide::UInt(64), "nitrix_address_of", {element}, Call::Extern);
}

// Whether a function of the runtime says so. A schedule may specialise on it, and on its negation: Halide itself
// knows inside a specialisation no more than what a comparison with one variable tells.
inline Halide::Expr decided_by(const std::string &function, const std::vector<Halide::Expr> &arguments) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), "nitrix_whether_" + function, arguments, Call::PureExtern) == 1;
}

// The same of a condition that the kernel computes.
inline Halide::Expr known_as(const std::string &name, const Halide::Expr &condition) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), "nitrix_known_" + name, {Halide::cast<int32_t>(condition)}, Call::PureExtern) ==
           1;
}

// An element, of which a vector is read by a mask: where the condition does not hold it is anything, and no memory is
// read.
inline Halide::Expr load_where(const Halide::Expr &condition, const Halide::Expr &element) {
    using Halide::Internal::Call;
    return Call::make(element.type(), "nitrix_load_where", {condition, element}, Call::PureExtern);
}

// For what is stored: element `at + by` of a Func that is kept in vectors. A vector of such elements lies in two of the
// Func's, and is put together in registers, which have no addresses. `by`: a multiple of `unit` below `end`.
template <typename Element>
Halide::Expr load_across(const Element &element, const Halide::Expr &at, const Halide::Expr &by, int unit, int end) {
    using Halide::Internal::Call;
    const Halide::Expr shifted = element(at + by);
    return Call::make(shifted.type(), "nitrix_load_across", {shifted, element(at), by, unit, end}, Call::PureExtern);
}

// Of two vectors, parts of both: `width` elements of the one after as many of the other, out of the first half, or the
// second (half: 0 or 1), of each group of 16 bytes; or, if they are a group, all groups of the one whose number is
// even, or odd, and then of the other.
inline Halide::Expr exchange(const Halide::Expr &one, const Halide::Expr &other, const Halide::Expr &half, int width) {
    using Halide::Internal::Call;
    return Call::make(one.type(), "nitrix_exchange", {one, other, half, width}, Call::PureExtern);
}

class OwnLowering : public Halide::Internal::IRMutator {
    using IRMutator::visit;

    Halide::Expr visit(const Halide::Internal::Call *call) override {
        using namespace Halide;
        if (const auto known = said_.find(call->name); known != said_.end())
            return known->second;
        if (Requests::is_one(call->name)) {
            _halide_user_assert(storing_) << call->name << " stands where nothing is stored";
            return 0;
        }
        if (is_known(*call))
            return mutate(call->args[0]);
        if (call->name == "nitrix_load_where") {
            const Expr condition = Internal::simplify(mutate(call->args[0])), element = mutate(call->args[1]);
            const auto *load = element.as<Internal::Load>();
            _halide_user_assert(load) << "load_where: " << element << " is not stored";
            return Internal::Load::make(load->type, load->name, load->index, load->image, load->param, condition,
                                        load->alignment);
        }
        if (call->name == "nitrix_load_across") // one element, or what begins a vector
            return shifted_.defined() ? shifted_ : mutate(call->args[0]);
        if (call->name == "nitrix_exchange")
            return exchanged(*call);
        if (call->name != "nitrix_address_of")
            return IRMutator::visit(call);
        const auto *load = call->args[0].as<Internal::Load>();
        _halide_user_assert(load) << "address_of: " << call->args[0] << " is not stored";
        return reinterpret<uint64_t>(Internal::Variable::make(Handle(), load->name)) +
               cast<uint64_t>(cast<int64_t>(mutate(load->index)) * load->type.bytes());
    }

    Halide::Expr exchanged(const Halide::Internal::Call &call) {
        using namespace Halide::Internal;
        const auto number = [&](const Halide::Expr &e) {
            const Halide::Expr known = simplify(mutate(e));
            const auto *everywhere = known.as<Broadcast>();
            const auto value = as_const_int(everywhere ? everywhere->value : known);
            _halide_user_assert(value) << "exchange: " << e << " is not known";
            return static_cast<int>(*value);
        };
        const int lanes = call.type.lanes(), group = 16 / call.type.bytes();
        const int half = number(call.args[2]), width = number(call.args[3]);
        std::vector<int> elements;
        const auto take = [&](int first, int count) {
            for (int e = 0; e < count; ++e)
                elements.push_back(first + e);
        };
        if (width < group) {
            for (int at = half * group / 2; at < lanes; at += group)
                for (int piece = 0; piece < group / 2; piece += width)
                    for (const int source : {0, lanes})
                        take(source + at + piece, width);
        } else {
            for (const int source : {0, lanes})
                for (int at = half * group; at < lanes; at += 2 * group)
                    take(source + at, group);
        }
        return Shuffle::make({mutate(call.args[0]), mutate(call.args[1])}, elements);
    }

    // What puts a vector together, in what is stored.
    struct Across : Halide::Internal::IRVisitor {
        const Halide::Internal::Call *vector = nullptr;
        using IRVisitor::visit;
        void visit(const Halide::Internal::Call *call) override {
            if (call->name == "nitrix_load_across" && call->type.is_vector() &&
                !Halide::Internal::is_const_zero(call->args[2]))
                vector = call;
            IRVisitor::visit(call);
        }
    };

    // A store for each offset: shuffles are of constants.
    Halide::Internal::Stmt store_across(const Halide::Internal::Store &store, const Halide::Internal::Call &call) {
        using namespace Halide::Internal;
        const auto *first = call.args[1].as<Load>();
        const auto *vector = first ? first->index.as<Ramp>() : nullptr;
        const auto begin = vector ? as_const_int(vector->base) : std::nullopt;
        _halide_user_assert(begin) << "load_across: " << call.args[1] << " is not a vector of one that is kept";
        const int lanes = vector->lanes;
        const auto load = [&](int64_t at) {
            const Halide::Expr index = Ramp::make(make_const(Halide::Int(64), *begin + at), vector->stride, lanes);
            return Load::make(first->type, first->name, index, first->image, first->param, const_true(lanes),
                              ModulusRemainder(lanes, 0));
        };
        const auto *everywhere = call.args[2].as<Broadcast>();
        const Halide::Expr by = mutate(everywhere ? everywhere->value : call.args[2]), index = mutate(store.index);
        Stmt stores;
        for (int64_t offset = *as_const_int(call.args[4]); (offset -= *as_const_int(call.args[3])) >= 0;) {
            const Halide::Expr such = simplify(by == make_const(by.type(), offset));
            if (is_const_zero(such))
                continue;
            const int inside = static_cast<int>(offset % lanes);
            Halide::Expr value = load(offset - inside);
            if (inside)
                value =
                    Shuffle::make_slice(Shuffle::make_concat({value, load(offset - inside + lanes)}), inside, 1, lanes);
            shifted_ = value;
            const Stmt one =
                Store::make(store.name, mutate(store.value), index, store.param, const_true(lanes), store.alignment);
            shifted_ = Halide::Expr();
            stores = stores.defined() ? IfThenElse::make(such, one, stores) : one;
        }
        return stores;
    }

    // An element's distance from an array's first one is computed with 64 bits: int64(j + first) - int64(first). What
    // does not overflow is j, and then known to the address.
    static bool is_first(const Halide::Expr &index) {
        const auto *variable = index.as<Halide::Internal::Variable>();
        return variable && variable->param.defined() && Halide::Internal::ends_with(variable->name, ".min.0");
    }

    Halide::Expr visit(const Halide::Internal::Cast *cast) override {
        using namespace Halide::Internal;
        const auto *sum = cast->value.as<Add>();
        if (cast->type != Halide::Int(64) || !sum || !(is_first(sum->a) || is_first(sum->b)))
            return IRMutator::visit(cast);
        return Cast::make(cast->type, mutate(sum->a)) + Cast::make(cast->type, mutate(sum->b));
    }

    // What has become a number here is one in the functions of parallel loops too.
    Halide::Internal::Stmt visit(const Halide::Internal::LetStmt *let) override {
        using namespace Halide::Internal;
        const auto *cast = let->value.as<Cast>();
        const bool first = cast && is_first(cast->value);
        Halide::Expr value = mutate(let->value);
        if (!value.same_as(let->value))
            value = simplify(value);
        const bool known = first || is_const(value);
        const ScopedBinding<Halide::Expr> binding(known_, let->name, known ? value : Halide::Expr());
        const Stmt body = mutate(let->body);
        return known ? body : LetStmt::make(let->name, value, body);
    }

    Halide::Expr visit(const Halide::Internal::Let *let) override {
        const Halide::Expr value = mutate(let->value);
        const Halide::Internal::ScopedBinding<Halide::Expr> binding(known_, let->name, Halide::Expr());
        return Halide::Internal::Let::make(let->name, value, mutate(let->body));
    }

    Halide::Expr visit(const Halide::Internal::Variable *variable) override {
        const Halide::Expr *const known = known_.find(variable->name);
        return known && known->defined() ? *known : variable;
    }

    Halide::Internal::Stmt visit(const Halide::Internal::Store *store) override {
        Across across;
        store->value.accept(&across);
        if (across.vector)
            return store_across(*store, *across.vector);
        const Halide::Internal::Stmt requests = Requests::of(store->value);
        if (!requests.defined())
            return IRMutator::visit(store);
        storing_ = true;
        const Halide::Internal::Stmt stored = IRMutator::visit(store);
        storing_ = false;
        return Halide::Internal::Block::make(mutate(requests), stored);
    }

    // A loop of no steps is not even prepared: in a product of 16^3 those of the other tiles took a sixth of a call.
    Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override {
        using namespace Halide::Internal;
        const Stmt same = IRMutator::visit(loop);
        const auto *mutated = same.as<For>();
        if (!mutated || mutated->for_type != ForType::Parallel || as_const_int(mutated->extent))
            return same;
        return IfThenElse::make(mutated->extent > 0, same);
    }

    Halide::Internal::Stmt visit(const Halide::Internal::IfThenElse *branch) override {
        const Halide::Expr condition = mutate(branch->condition);
        const std::map<std::string, int> before = said_;
        learn(branch->condition);
        const Halide::Internal::Stmt then_case = mutate(branch->then_case);
        said_ = before;
        return Halide::Internal::IfThenElse::make(condition, then_case, mutate(branch->else_case));
    }

    void learn(const Halide::Expr &condition) {
        using namespace Halide::Internal;
        if (const auto *let = condition.as<Let>())
            learn(let->body);
        if (const auto *both = condition.as<And>()) {
            learn(both->a);
            learn(both->b);
        }
        const auto *same = condition.as<EQ>();
        const auto *differs = condition.as<NE>();
        if (same)
            learn(same->a, same->b, 1);
        if (differs)
            learn(differs->a, differs->b, 0);
    }

    static bool is_known(const Halide::Internal::Call &call) { return call.name.rfind("nitrix_known_", 0) == 0; }

    void learn(const Halide::Expr &said, const Halide::Expr &one, int what) {
        const auto *call = said.as<Halide::Internal::Call>();
        if (call && (is_known(*call) || call->name.rfind("nitrix_whether_", 0) == 0) && is_const_one(one))
            said_[call->name] = what;
    }

    std::map<std::string, int> said_;             // by calls, as conditions around this tell
    Halide::Internal::Scope<Halide::Expr> known_; // variables; undefined: a name that has another meaning further out
    Halide::Expr shifted_;                        // what load_across gives the vector that is stored
    bool storing_ = false;
};

} // namespace nitrix
