import numpy as np

import nitrix
from nitrix.semiring import TROPICAL_MIN_PLUS, semiring_matmul

inf = np.inf  # minutes between four stops, by one direct line
direct = np.array([[0, 5, inf, 9], [5, 0, 2, inf], [inf, 2, 0, 3], [9, inf, 3, 0]], dtype=np.float32)
changing_once = semiring_matmul(direct, direct, semiring=TROPICAL_MIN_PLUS)
print(changing_once)
print("served by", nitrix.last_variant())
