"""Faster loops in the C++ that Brian2 generates: the same statements, laid out for the compiler.

Brian2 writes every loop over synapses for any connectivity: it looks up the two neurons of each
synapse in tables, and so the compiler cannot use vector instructions. Here every `Synapses` is
all to all, presynaptic neuron first (synapse = pre*N_post + post), so that the synapses of one
presynaptic neuron are an ordinary array. Only heads of loops and the look-ups are replaced; a
file that does not look as expected is left as it is. And where a loop goes through the neurons that
had an event, the queue of their events holds these neurons, not every synapse of theirs.
"""

import re
from pathlib import Path

#: Over all synapses: summed variables, state updates and code that runs on synapses.
EACH = re.compile(r"for\(int _idx=0; _idx<(?:_N|_ptr_array_\w+_N\[0\]); _idx\+\+\)\s*\{")
EACH_BY_NEURON = """for(int _pre=0; _pre<{pre}; _pre++)
    for(int _post=0; _post<{post}; _post++)
    {{
        const int _idx = _pre*{post} + _post;"""
#: A sum over the synapses of a presynaptic neuron, in a variable that the compiler may split.
SUM = re.compile(r"(?P<into>_ptr_array_\w+\[_pre(?: \+ 0)?\]) \+= _synaptic_var;\s*\}")
SUM_BY_NEURON = """for(int _pre=0; _pre<{pre}; _pre++)
    {{
    {number} _sum = 0;
    for(int _post=0; _post<{post}; _post++)
    {{
        const int _idx = _pre*{post} + _post;"""
#: A place in an array, and whether it is given a value there.
PLACE = re.compile(r"(_ptr_array_\w+)\[([^\]]+)\]\s*([-+*/]?=(?!=))?")
#: Arrays of different names never overlap, but of many arrays the compiler would not believe it.
APART = "#pragma GCC ivdep"
#: Over the synapses of the neurons that had an event, which stand in blocks of N_post.
EVENT = re.compile(r"for\(int _spiking_synapse_idx=0;\s*"
                   r"_spiking_synapse_idx<_num_spiking_synapses;\s*_spiking_synapse_idx\+\+\)\s*"
                   r"\{\s*const size_t _idx = \(\*_spiking_synapses\)\[_spiking_synapse_idx\];")
EVENT_BY_NEURON = """for(int _block=0; _block<_num_spiking_synapses; _block++)
        for(int _post=0; _post<{post}; _post++)
        {{
            const int _pre = (*_spiking_synapses)[_block];
            const int _idx = _pre*{post} + _post;"""
#: The same where it is the targets that had an event: of their synapses, one in every N_post.
EVENT_OF_TARGET = """for(int _block=0; _block<_num_spiking_synapses; _block++)
        for(int _pre=0; _pre<{pre}; _pre++)
        {{
            const int _post = (*_spiking_synapses)[_block];
            const int _idx = _pre*{post} + _post;"""
#: What the queue of a pathway is given: the source of every synapse, of which it lists those of a
#: neuron that had an event. There are no delays (those of networks are text).
QUEUE = re.compile(r"(int32_t\* sources = )[^;]*;"
                   r"(\s*const size_t n_delays = )[^;]*;(\s*const size_t n_synapses = )[^;]*;")
QUEUE_BY_NEURON = r"""std::vector<int32_t> _neurons({count});
    for(int _neuron=0; _neuron<{count}; _neuron++)
        _neurons[_neuron] = _neuron;
    \g<1>&_neurons[0];\g<2>real_delays.empty() ? 0 : 1;\g<3>{count};"""


def straighten(folder, synapses):
    """Rewrite the generated files in `folder`; `synapses` is ``{name: (N_pre, N_post)}``.

    The names are those of all objects; of groups, and of `Synapses` that are not all to all, the
    sizes are None.
    """
    codes = Path(folder) / "code_objects"
    for path in sorted(codes.glob("*_codeobject.cpp")):
        # "a" and "a_b" may both be objects: the longer name is meant.
        name = max((n for n in synapses if path.name.startswith(f"{n}_")), key=len, default=None)
        if name is None or synapses[name] is None:
            continue
        code = path.read_text()
        queue = codes / f"before_run_{path.name.removesuffix('_codeobject.cpp')}_push_spikes.cpp"
        if EVENT.search(code):  # loop and queue together, or neither
            filled = queue.read_text() if queue.exists() else ""
            if [len(head.findall(text)) for head, text in (
                    (EVENT, code), (EACH, code), (QUEUE, filled))] != [1, 0, 1]:
                continue
            count = synapses[name][_of_target(code, name)]
            queue.write_text(QUEUE.sub(QUEUE_BY_NEURON.format(count=count), filled))
        path.write_text(by_neuron(code, name, *synapses[name]))
    network = Path(folder) / "network.cpp"
    network.write_text(quick_clock(network.read_text()))


def by_neuron(code, name, pre, post):
    """The code of a `Synapses` object with its one loop over synapses nested by neuron."""
    for head, nested in ((EACH, EACH_BY_NEURON), (EVENT, EVENT_BY_NEURON)):
        if len(head.findall(code)) == 1:
            before, body = head.split(code)
            for side in ("pre", "post"):
                body = body.replace(f"_ptr_array_{name}__synaptic_{side}[_idx]", f"_{side}")
            if head is EACH and len(SUM.findall(body)) == 1:
                nested = SUM_BY_NEURON
                body = SUM.sub(r"_sum += _synaptic_var;\n    }\n    \g<into> += _sum;\n    }", body)
            if head is EVENT and _of_target(before, name):
                nested = EVENT_OF_TARGET
            elif _apart(body):
                nested = nested.replace("for(int _post", f"\n{APART}\n    for(int _post")
            number = "float" if "float _synaptic_var" in body else "double"
            return before + nested.format(pre=pre, post=post, number=number) + body
    return code


def _of_target(code, name):
    """Whether the code of a pathway of the synapses `name` is that at postsynaptic spikes."""
    return f"= {name}_post.peek()" in code


def _apart(body):
    """Whether no synapse of a presynaptic neuron reads or changes what another one changes."""
    places = [(found[1], found[2]) for found in PLACE.finditer(body)]
    changed = {found[1] for found in PLACE.finditer(body) if found[3]}
    return all(index in ("_idx", "_post", "_postsynaptic_idx")
               for name, index in places if name in changed)


def quick_clock(code):
    """Ask the system for the CPU time (a system call) once a run instead of once a step."""
    asked = re.search(r"\n *current = std::clock\(\);\n *elapsed_realtime = .*;\n", code)
    end = "    Network::_globally_running = false;\n"
    if not asked or code.count(end) != 1:
        return code
    return code.replace(asked[0], "\n").replace(end, end + asked[0])
