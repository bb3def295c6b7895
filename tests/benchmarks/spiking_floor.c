/* The floor of the spiking benchmark: the network and rule of `bioopzo` written by hand in C.

   One hidden layer of LIF neurons with logistic escape noise, a leaky readout, a softmax error,
   and online pseudo-zeroth-order learning: Rademacher noise after the neuron, an antithetic pair
   of holds a trial, feedback learnt by least mean squares. One trial at a time, in double
   precision, weights updated for every pair of neurons in every step in which the target is shown:

       w_ij -= dt*eta*xbar_i*psi_j*g_j

   The order within a step is that of bioopzo/assembly.py (noise, membranes, error, modulator,
   escape, plasticity, spikes, feedback), so that both programs simulate the same mathematics;
   only the random numbers differ.

   Usage: spiking_floor FOLDER TRIALS SEED
   FOLDER holds
     network.txt   name value pairs, one a line (sizes, steps, protocol, parameters; SI units)
     spikes.u8     (rows, steps, n_in), 1 for a spike in that step
     labels.i32    (rows,)
     w1.f64, w2.f64  initial weights (n_in, n_hidden), (n_hidden, n_out)
   Trials beyond the last row begin again at the first. Prints one "name value" pair a line.

   cc -O3 -march=native -ffast-math spiking_floor.c -lm -o spiking_floor */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    double n_in, n_hidden, n_out, rows, steps, dt;
    double start, hold, window;                    /* in steps */
    double tau_m, tau_o, theta, b, rho0, Delta;    /* seconds, hertz */
    double eta, eta_o, alpha, mu;
} Network;

static const struct { const char *name; size_t offset; } FIELDS[] = {
#define FIELD(name) {#name, offsetof(Network, name)}
    FIELD(n_in), FIELD(n_hidden), FIELD(n_out), FIELD(rows), FIELD(steps), FIELD(dt),
    FIELD(start), FIELD(hold), FIELD(window), FIELD(tau_m), FIELD(tau_o), FIELD(theta),
    FIELD(b), FIELD(rho0), FIELD(Delta), FIELD(eta), FIELD(eta_o), FIELD(alpha), FIELD(mu),
};
enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

static void fail(const char *what, const char *which)
{
    fprintf(stderr, "spiking_floor: %s %s\n", what, which);
    exit(1);
}

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot open", path);
    return file;
}

static void *load(const char *folder, const char *name, size_t count, size_t size)
{
    FILE *file = open_in(folder, name);
    void *data = aligned_alloc(64, (count * size + 63) / 64 * 64);
    if (!data || fread(data, size, count, file) != count) fail("too little in", name);
    fclose(file);
    return data;
}

static Network load_network(const char *folder)
{
    Network net;
    char name[64];
    double value;
    int found = 0;
    FILE *file = open_in(folder, "network.txt");
    while (fscanf(file, "%63s %lf", name, &value) == 2)
        for (int k = 0; k < N_FIELDS; k++)
            if (!strcmp(name, FIELDS[k].name)) {
                *(double *)((char *)&net + FIELDS[k].offset) = value;
                found++;
            }
    fclose(file);
    if (found != N_FIELDS) fail("missing values in", "network.txt");
    return net;
}

static double *zeros(int n)
{
    double *x = aligned_alloc(64, ((size_t)n * sizeof *x + 63) / 64 * 64);
    if (!x) fail("out of", "memory");
    memset(x, 0, (size_t)n * sizeof *x);
    return x;
}

/* xoshiro256+ (Blackman and Vigna 2018, public domain), seeded by splitmix64. */
static uint64_t random_state[4];

static void seed_random(uint64_t seed)
{
    for (int k = 0; k < 4; k++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        random_state[k] = z ^ (z >> 31);
    }
}

static inline double random_uniform(void)
{
    uint64_t *s = random_state, result = s[0] + s[3], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return (double)(result >> 11) * 0x1p-53;
}

/* w_ij += x_i*f_j for all pairs: the dense update, the one loop that matters. */
static void outer(double *restrict w, const double *restrict x, const double *restrict f,
                  int rows, int columns)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            w[i * columns + j] += x[i] * f[j];
}

static inline void add(double *restrict to, const double *restrict from, double scale, int n)
{
    for (int j = 0; j < n; j++)
        to[j] += scale * from[j];
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage:", "spiking_floor FOLDER TRIALS SEED");
    const char *folder = argv[1];
    const int trials = atoi(argv[2]);
    seed_random(strtoull(argv[3], NULL, 10));
    const Network net = load_network(folder);
    const int I = (int)net.n_in, H = (int)net.n_hidden, O = (int)net.n_out;
    const int steps = (int)net.steps, rows = (int)net.rows, start = (int)net.start;
    const int hold = (int)net.hold, window = (int)net.window;
    const uint8_t *spikes = load(folder, "spikes.u8", (size_t)rows * steps * I, 1);
    const int32_t *labels = load(folder, "labels.i32", rows, 4);
    double *w1 = load(folder, "w1.f64", (size_t)I * H, 8);
    double *w2 = load(folder, "w2.f64", (size_t)H * O, 8);
    double *M = zeros(H * O);  /* (O, H): the modulator sums over the rows */

    double *x_in = zeros(I), *u = zeros(H), *x = zeros(H), *psi = zeros(H), *g = zeros(H);
    double *chance = zeros(H), *f1 = zeros(H), *z = zeros(H), *zbar = zeros(H), *Dz = zeros(H);
    double *o = zeros(O), *err = zeros(O), *push = zeros(O), *f2 = zeros(O), *Do = zeros(O);
    double *expo = zeros(O), *decision = zeros(O);
    int *fired = malloc((size_t)H * sizeof *fired);

    const double keep_m = exp(-net.dt / net.tau_m), keep_o = exp(-net.dt / net.tau_o);
    const double drive = net.b * (1 - keep_m);
    const double gain_o = net.tau_o * (1 - keep_o);  /* of a constant current into the readout */
    const int shown = steps - start;
    double loss = 0, spikes_in = 0, spikes_hidden = 0, correct = 0;

    const clock_t begin = clock();
    for (int trial = 0; trial < trials; trial++) {
        const uint8_t *given = spikes + (size_t)(trial % rows) * steps * I;
        const int label = labels[trial % rows];
        memset(x_in, 0, I * sizeof *x_in);
        memset(u, 0, H * sizeof *u);
        memset(x, 0, H * sizeof *x);
        memset(o, 0, O * sizeof *o);
        memset(decision, 0, O * sizeof *decision);
        for (int step = 0; step < steps; step++, given += I) {
            /* The perturbation of this step: +z, then -z, read at the end of each hold. */
            const int phase = step - start, half = phase >= 0 ? phase / hold : 2;
            const double sigma = half == 0 ? 1 : half == 1 ? -1 : 0;
            const double reading = half < 2 && phase % hold >= hold - window ? sigma / window : 0;
            if (phase == 0) {
                memset(push, 0, O * sizeof *push);
                memset(Dz, 0, H * sizeof *Dz);
                memset(Do, 0, O * sizeof *Do);
                for (int j = 0; j < H; j++) {
                    z[j] = random_uniform() < 0.5 ? 1 : -1;
                    add(push, w2 + j * O, net.alpha * z[j], O);
                }
            }

            /* Membranes, traces and readout, integrated exactly. */
            for (int i = 0; i < I; i++)
                x_in[i] *= keep_m;
            for (int j = 0; j < H; j++) {
                u[j] = keep_m * u[j] + drive;
                x[j] *= keep_m;
                zbar[j] = keep_o * zbar[j] + gain_o * sigma * net.alpha * z[j];
                const double p = 1 / (1 + exp(-(u[j] - net.theta) / net.Delta));
                psi[j] = 4 * p * (1 - p);
                chance[j] = 1 - exp(-net.rho0 * p * net.dt);
                Dz[j] += reading * zbar[j];
            }
            for (int k = 0; k < O; k++) {
                o[k] = keep_o * o[k] + gain_o * sigma * push[k];
                Do[k] += reading * o[k];
            }

            /* Error, modulator and the dense three-factor update, while the target is shown. */
            if (phase >= 0) {
                double Z = 0;
                for (int k = 0; k < O; k++)
                    Z += expo[k] = exp(o[k]);
                memset(g, 0, H * sizeof *g);
                for (int k = 0; k < O; k++) {
                    err[k] = expo[k] / Z - (k == label);
                    decision[k] += o[k];
                    f2[k] = -net.dt * net.eta_o * err[k];
                    add(g, M + k * H, err[k], H);
                }
                loss += (log(Z) - o[label]) / shown;
                for (int j = 0; j < H; j++)
                    f1[j] = -net.dt * net.eta * psi[j] * g[j];
                outer(w1, x_in, f1, I, H);
                outer(w2, x, f2, H, O);
            }

            /* Spikes, their effect and the reset. */
            int n_fired = 0;
            for (int j = 0; j < H; j++)
                if (random_uniform() < chance[j]) fired[n_fired++] = j;
            for (int i = 0; i < I; i++)
                if (given[i]) {
                    add(u, w1 + i * H, 1, H);
                    x_in[i] += 1;
                    spikes_in++;
                }
            for (int n = 0; n < n_fired; n++) {
                const int j = fired[n];
                add(o, w2 + j * O, 1, O);
                u[j] -= net.theta;
                x[j] += 1;
            }
            spikes_hidden += n_fired;

            /* The feedback synapses learn at the end of the pair: least mean squares. */
            if (phase == 2 * hold - 1) {
                double power = 0;
                for (int j = 0; j < H; j++)
                    power += Dz[j] * Dz[j];
                for (int k = 0; k < O; k++) {
                    double prediction = 0;
                    for (int j = 0; j < H; j++)
                        prediction += M[k * H + j] * Dz[j];
                    add(M + k * H, Dz, net.mu * (Do[k] - prediction) / power, H);
                }
            }
        }
        int best = 0;
        for (int k = 1; k < O; k++)
            if (decision[k] > decision[best]) best = k;
        correct += best == label;
    }
    const double cpu = (double)(clock() - begin) / CLOCKS_PER_SEC;

    double checksum = 0;
    for (int n = 0; n < I * H; n++) checksum += w1[n] * w1[n];
    for (int n = 0; n < H * O; n++) checksum += w2[n] * w2[n] + M[n] * M[n];
    const double seconds = net.dt * steps * trials;
    printf("cpu_ms_per_trial %.6f\n", 1e3 * cpu / trials);
    printf("input_hz %.4f\n", spikes_in / I / seconds);
    printf("hidden_hz %.4f\n", spikes_hidden / H / seconds);
    printf("training_loss %.6f\n", loss / trials);
    printf("training_accuracy %.6f\n", correct / trials);
    printf("checksum %.9g\n", checksum);
    return 0;
}
