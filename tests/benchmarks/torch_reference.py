"""The networks of the rate engine, written the ordinary way in PyTorch: what it is compared with.

Spiking networks in discrete time, each trained online through time (OTTT; Xiao et al. 2022),
either with backpropagation through the layers at every step ("bp": modules and autograd) or with
noise and learnt feedback ("opzo": one forward pass, no autograd; Xiao et al. 2024). It knows
nothing of bioopzo, and uses neither torch.compile nor code of its own in another language.

    u[t] = (u[t-1] - s[t-1])/2 + W sent[t] + b    s = u > 1    o[t] = o[t-1]/2 + W sent[t] + b
    trace[t] = trace[t-1]/2 + sent[t], without the noise; the input is the same at every step

Usage: python torch_reference.py --network fc|conv|papers --rule bp|opzo [--steps N] [--rounds R]
prints, as JSON, the CPU seconds of a training step in each round. With --check: the first and the
last loss of training on one batch; with --memory: the process's peak resident memory instead.
"""

import argparse
import functools
import itertools
import json
import math
import resource
import statistics
import time

import torch
from torch import nn
from torch.autograd import Function
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

CLASSES = 10
LEAK, THRESHOLD, SLOPE = 0.5, 1.0, 4.0
DROPOUT = 0.2
CROSS_ENTROPY, SQUARES = 0.95, 0.05
ALPHA, MOMENTUM = 0.2, 0.999  # size of the noise, and memory of the feedback
GAIN = 2.0  # of the initial weights, so that every layer spikes


# --- Both rules: data, layers, and what a training step starts and ends with.

def random_batches(shape, batch, count):
    """`count` fixed batches of Gaussian input and random labels, again and again."""
    layout = torch.channels_last if len(shape) == 3 else torch.contiguous_format
    return itertools.cycle([
        (torch.randn(batch, *shape).to(memory_format=layout), torch.randint(CLASSES, (batch,)))
        for _ in range(count)])


class ScaledConv2d(nn.Conv2d):
    """A 3x3 convolution with scaled weight standardisation (Brock et al. 2021), of a fixed gain."""

    def __init__(self, channels_in, channels_out):
        super().__init__(channels_in, channels_out, 3, padding=1)

    def standardised(self):
        fan_in = self.weight[0].numel()
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        return (self.weight - mean) * (GAIN * torch.rsqrt(var * fan_in + 1e-8))


def linear(cls, n_in, n_out):
    """A fully connected layer of class `cls` with Gaussian weights."""
    layer = cls(n_in, n_out)
    nn.init.normal_(layer.weight, std=GAIN / math.sqrt(n_in))
    nn.init.zeros_(layer.bias)
    return layer


def dropout_mask(like):
    """One mask per sample, held for the whole trial."""
    return torch.rand_like(like).lt_(1 - DROPOUT).div_(1 - DROPOUT)


def surrogate(u):
    """psi = 4 p (1 - p), where p = sigmoid(4 (u - 1))."""
    p = (u - THRESHOLD).mul_(SLOPE).sigmoid_()
    return p.addcmul_(p, p, value=-1).mul_(SLOPE)


def adamw(net):
    return torch.optim.AdamW(net.parameters(), lr=2e-4, weight_decay=2e-4, fused=True)


# --- bp: autograd within a time step.

class Spike(Function):
    """A step function, whose derivative is taken to be that of a sigmoid."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u > THRESHOLD).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return surrogate(u).mul_(grad)


class LinearOnTrace(Function):
    """F.linear, but the gradient of the weights sees the trace in place of the input."""

    @staticmethod
    def forward(ctx, sent, trace, weight, bias):
        ctx.save_for_backward(trace, weight)
        return F.linear(sent, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        trace, weight = ctx.saved_tensors
        below = grad @ weight if ctx.needs_input_grad[0] else None
        return below, None, grad.T @ trace, grad.sum(0)


class ConvOnTrace(Function):
    """The same of F.conv2d with padding 1."""

    @staticmethod
    def forward(ctx, sent, trace, weight, bias):
        ctx.save_for_backward(trace, weight)
        return F.conv2d(sent, weight, bias, padding=1)

    @staticmethod
    def backward(ctx, grad):
        trace, weight = ctx.saved_tensors
        below = None
        if ctx.needs_input_grad[0]:
            below = conv2d_input(trace.shape, weight, grad, padding=1)
        weight_grad = conv2d_weight(trace, weight.shape, grad, padding=1)
        return below, None, weight_grad, grad.sum((0, 2, 3))


class Stateful(nn.Module):
    """A module with state, which a trial starts without."""

    state = None

    def reset(self):
        self.state = None


class Traced(Stateful):
    """Mixed into a layer: the trace of what it receives."""

    def update_trace(self, sent):
        sent = sent.detach()
        self.state = sent.clone() if self.state is None else self.state.mul_(LEAK).add_(sent)
        return self.state


class TracedLinear(Traced, nn.Linear):
    def forward(self, sent):
        return LinearOnTrace.apply(sent, self.update_trace(sent), self.weight, self.bias)


class TracedConv2d(Traced, ScaledConv2d):
    def forward(self, sent):
        return ConvOnTrace.apply(sent, self.update_trace(sent), self.standardised(), self.bias)


class LIF(Stateful):
    """Leaky integrate-and-fire neurons; no gradient flows from one step to the next."""

    def forward(self, current):
        u = current
        if self.state is not None:
            before, spikes = self.state
            u = torch.add(current, before.sub_(spikes), alpha=LEAK)
        s = Spike.apply(u)
        self.state = u.detach(), s.detach()
        return s


class Readout(Stateful):
    def forward(self, current):
        o = current if self.state is None else torch.add(current, self.state, alpha=LEAK)
        self.state = o.detach()
        return o


class TrialDropout(Stateful):
    def forward(self, s):
        if self.state is None:
            self.state = dropout_mask(s)
        return s * self.state


def backpropagation(net, batches, T):
    """A training step of `net`: a loss and its backward() at every time step."""
    optimizer = adamw(net)

    def step():
        x, labels = next(batches)
        y = F.one_hot(labels, CLASSES).to(x.dtype)
        optimizer.zero_grad()
        for module in net:
            if isinstance(module, Stateful):
                module.reset()
        total = 0.0
        for _ in range(T):
            o = net(x)
            loss = CROSS_ENTROPY * F.cross_entropy(o, labels) + SQUARES * F.mse_loss(o, y)
            loss.backward()
            total += loss.item()
        optimizer.step()
        return total / T

    return step


# --- opzo: one forward pass with noise, and gradients by hand.

class Layer:
    """Weights, and the trace of what they receive."""

    def __init__(self, module):
        self.module = module
        for parameter in module.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def start(self):
        """Begin a trial."""
        self.trace = None

    def receive(self, sent, noise=None, sign=1):
        """The current that `sent` evokes, with `noise` of that `sign` upon it."""
        self.trace = sent.clone() if self.trace is None else self.trace.mul_(LEAK).add_(sent)
        return self.forward(sent if noise is None else sent.add(noise, alpha=sign * ALPHA))


class LinearLayer(Layer):
    def forward(self, sent):
        return F.linear(sent, self.module.weight, self.module.bias)

    def accumulate(self, g):
        self.module.weight.grad.addmm_(g.T, self.trace)
        self.module.bias.grad.add_(g.sum(0))

    def finish(self):
        """End a trial: nothing is left to do."""


class ConvLayer(Layer):
    def start(self):
        super().start()
        with torch.enable_grad():  # for the standardisation of the weights alone
            self.standardised = self.module.standardised()
        self.weight = self.standardised.detach()
        self.weight_grad = torch.zeros_like(self.weight)

    def forward(self, sent):
        return F.conv2d(sent, self.weight, self.module.bias, padding=1)

    def accumulate(self, g):
        self.weight_grad += conv2d_weight(self.trace, self.weight.shape, g, padding=1)
        self.module.bias.grad.add_(g.sum((0, 2, 3)))

    def finish(self):
        self.standardised.backward(self.weight_grad)


class Hidden:
    """Neurons, their noise, and the feedback they receive; `pass_on` is what follows them."""

    def __init__(self, batch, shape, pass_on):
        self.shape, self.pass_on = shape, pass_on
        self.z = torch.zeros(batch, math.prod(shape))
        self.M = torch.zeros(CLASSES, math.prod(shape))
        self.u = self.in_shape(torch.zeros_like(self.z))
        self.s = torch.zeros_like(self.u)

    def in_shape(self, flat):
        """A view of `flat`, whose columns are neurons; images have their channels last."""
        if len(self.shape) == 1:
            return flat
        channels, height, width = self.shape
        return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def start(self):
        self.u.zero_()
        self.s.zero_()
        self.mask = dropout_mask(self.u)

    def draw(self):
        # +1 or -1, as cheap as noise can be.
        self.z.bernoulli_(0.5).mul_(2).sub_(1)
        self.noise = self.pass_on(self.in_shape(self.z))

    def fire(self, current):
        self.u.sub_(self.s).mul_(LEAK).add_(current)
        torch.gt(self.u, THRESHOLD, out=self.s)
        return self.pass_on(self.s * self.mask)

    def gradient(self, err):
        """What the error tells the membrane."""
        return self.in_shape(err @ self.M).mul_(surrogate(self.u)).mul_(self.mask)

    def learn_feedback(self, o, sign):
        self.M.addmm_(o.T, self.z, beta=MOMENTUM, alpha=sign * (1 - MOMENTUM) / len(o))


def pseudo_zeroth_order(net, layers, hidden, batches, T):
    """A training step of `layers`, with the `hidden` neurons between them."""
    optimizer = adamw(net)
    first, *inner, last = layers

    @torch.no_grad()
    def step():
        x, labels = next(batches)
        y = F.one_hot(labels, CLASSES).to(x.dtype)
        optimizer.zero_grad(set_to_none=False)
        for part in (*layers, *hidden):
            part.start()
        o, total = torch.zeros_like(y), 0.0
        for t in range(T):
            sign = -1 if t % 2 else 1
            if sign > 0:
                for neurons in hidden:
                    neurons.draw()
            sent = hidden[0].fire(first.receive(x))
            for below, layer, neurons in zip(hidden, inner, hidden[1:]):
                sent = neurons.fire(layer.receive(sent, below.noise, sign))
            o.mul_(LEAK).add_(last.receive(sent, hidden[-1].noise, sign))

            log_p = F.log_softmax(o, 1)
            total += (CROSS_ENTROPY * F.nll_loss(log_p, labels)
                      + SQUARES * F.mse_loss(o, y)).item()
            err = CROSS_ENTROPY * (log_p.exp() - y) + SQUARES * 2 / CLASSES * (o - y)
            err /= len(x)
            last.accumulate(err)
            for layer, neurons in zip(layers, hidden):
                layer.accumulate(neurons.gradient(err))
                neurons.learn_feedback(o, sign)
        for layer in layers:
            layer.finish()
        optimizer.step()
        return total / T

    return step


# --- The networks.

def fully_connected(rule, batch=128, T=6, hidden=(800, 800), batches=10, seed=1):
    """A function that trains 784-`hidden`-10 for one step and returns its loss."""
    torch.manual_seed(seed)
    data = random_batches((784,), batch, batches)
    widths = (784, *hidden, CLASSES)
    if rule == "bp":
        modules = []
        for n_in, n_out in itertools.pairwise(widths[:-1]):
            modules += [linear(TracedLinear, n_in, n_out), LIF(), TrialDropout()]
        modules += [linear(TracedLinear, widths[-2], CLASSES), Readout()]
        return backpropagation(nn.Sequential(*modules), data, T)
    net = nn.Sequential(*(linear(nn.Linear, *sizes) for sizes in itertools.pairwise(widths)))
    neurons = [Hidden(batch, (n,), nn.Identity()) for n in hidden]
    return pseudo_zeroth_order(net, [LinearLayer(module) for module in net], neurons, data, T)


#: Of the convolutional networks: the image (channels, height, width), and of every convolution its
#: channels and the width of the average pooling behind it (1: none). The second is the papers'.
LAYOUTS = {"conv": ((1, 28, 28), ((32, 2), (64, 2))),
           "papers": ((3, 32, 32), ((128, 2), (256, 2), (512, 2), (512, 1)))}


def convolutional(rule, batch=128, T=6, layout="conv", batches=10, seed=1):
    """The same for one of the `LAYOUTS`, with 10 readouts at the end."""
    torch.manual_seed(seed)
    image, convolutions = LAYOUTS[layout]
    data = random_batches(image, batch, batches)
    depth, height, width = image
    modules, neurons = [], []
    for channels, pool in convolutions:
        pooling = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        if rule == "bp":
            modules += [TracedConv2d(depth, channels), LIF(), TrialDropout(), pooling]
        else:
            modules.append(ScaledConv2d(depth, channels))
            below = len(modules) < len(convolutions)
            pass_on = pooling if below else nn.Sequential(pooling, nn.Flatten())
            neurons.append(Hidden(batch, (channels, height, width), pass_on))
        depth, height, width = channels, height // pool, width // pool
    n_readout = depth * height * width
    if rule == "bp":
        modules += [nn.Flatten(), linear(TracedLinear, n_readout, CLASSES), Readout()]
        net = nn.Sequential(*modules).to(memory_format=torch.channels_last)
        return backpropagation(net, data, T)
    net = nn.Sequential(*modules, linear(nn.Linear, n_readout, CLASSES))
    net.to(memory_format=torch.channels_last)
    layers = [*(ConvLayer(module) for module in net[:-1]), LinearLayer(net[-1])]
    return pseudo_zeroth_order(net, layers, neurons, data, T)


NETWORKS = {"fc": fully_connected,
            **{name: functools.partial(convolutional, layout=name) for name in LAYOUTS}}


def peak_memory():
    """Peak resident memory of this process so far, in MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=list(NETWORKS), default="fc")
    parser.add_argument("--rule", choices=["bp", "opzo"], default="bp")
    parser.add_argument("--steps", type=int, default=10, help="training steps in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--check", action="store_true", help="train 60 steps on one batch")
    parser.add_argument("--memory", action="store_true", help="peak resident memory instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {"network": options.network, "rule": options.rule, "batch": options.batch,
              "torch": torch.__version__, "threads": torch.get_num_threads()}
    build = NETWORKS[options.network]
    if options.check:
        step = build(options.rule, options.batch, batches=1)
        losses = [step() for _ in range(60)]
        result |= {"first_loss": losses[0], "last_loss": losses[-1],
                   "falls": losses[-1] < losses[0]}
    elif options.memory:
        result["MiB_imported"] = peak_memory()
        step = build(options.rule, options.batch, batches=1)
        result["MiB_built"] = peak_memory()
        for _ in range(3):
            step()
        result["MiB_peak"] = peak_memory()
    else:
        step = build(options.rule, options.batch)
        for _ in range(2):  # allocates what later steps use again
            step()
        seconds = []
        for _ in range(options.rounds):
            start = time.process_time()
            for _ in range(options.steps):
                step()
            seconds.append((time.process_time() - start) / options.steps)
        result |= {"seconds_per_step": seconds, "median": statistics.median(seconds)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
