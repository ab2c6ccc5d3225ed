/* Every loss: its name in losses.h and the range of y that it takes. */
#ifndef DPMPI_LOSS_LIST_H
#define DPMPI_LOSS_LIST_H

#define FOR_EACH_LOSS(ADD)                                                                                            \
    ADD(squared, -LARGEST, LARGEST)                                                                                   \
    ADD(logistic, 0, 1)                                                                                               \
    ADD(poisson, 0, LARGEST)                                                                                          \
    ADD(gamma, SMALLEST, LARGEST)                                                                                     \
    ADD(tweedie, 0, LARGEST)                                                                                          \
    ADD(huber, -LARGEST, LARGEST)                                                                                     \
    ADD(pinball, -LARGEST, LARGEST)                                                                                   \
    ADD(squared_hinge, 0, 1)

#define ADD(name, low, high) LOSS_##name,
enum { FOR_EACH_LOSS(ADD) N_LOSSES };
#undef ADD

#endif
