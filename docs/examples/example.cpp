#include <nitrix/nitrix.hpp>

#include <cmath>
#include <iostream>

int main() {
    const float inf = INFINITY; // minutes between four stops, by one direct line
    const nitrix::Array<float> direct({4, 4}, {0, 5, inf, 9, 5, 0, 2, inf, inf, 2, 0, 3, 9, inf, 3, 0});
    const nitrix::Array<float> changing_once = nitrix::semiring::matmul(direct, direct, nitrix::TropicalMinPlus{});
    std::cout << "from the first stop to the third: " << changing_once(0, 2) << "\n";
    std::cout << "served by " << nitrix::last_variant() << "\n";
}
