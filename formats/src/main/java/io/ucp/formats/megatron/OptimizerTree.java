package io.ucp.formats.megatron;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.mcore.GradientBuffer;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.HeldShard;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/// The optimizers of a rank of the target ([PlainOptimizer] and [DistributedOptimizer] say how they
/// lie in the files).
///
/// @param arguments of the target's job
record OptimizerTree(
        TargetModel model, Grid grid, OptimizerSettings settings, Arguments arguments) {
    private static final String STEP = "step";
    private static final String MASTER = "fp32";
    private static final String WEIGHT = "weight";

    /// What is under `optimizer` in the file of the model.
    PickleValue of(TorchBuilder torch, List<List<HeldShard>> chunks) {
        List<HeldShard> all = chunks.stream().flatMap(List::stream).toList();
        if (!grid.expertOptimizer()) {
            return one(torch, all, false);
        }
        return PyList.of(
                one(torch, all.stream().filter(h -> !h.isExpert()).toList(), false),
                one(torch, all.stream().filter(HeldShard::isExpert).toList(), true));
    }

    private PickleValue one(TorchBuilder torch, List<HeldShard> members, boolean experts) {
        List<PickleValue> groups = new ArrayList<>();
        List<PyDict.Entry> state = new ArrayList<>();
        List<PickleValue> masters = new ArrayList<>();
        long number = 0;
        for (int group :
                settings.groupsOf(
                        members,
                        experts,
                        settings.everywhere(model.facts().values(), grid, experts))) {
            PyDict of = settings.settings(group);
            List<PickleValue> numbers = new ArrayList<>();
            List<PickleValue> own = new ArrayList<>();
            for (HeldShard held : members) {
                if (settings.number(held, experts) != group) {
                    continue;
                }
                numbers.add(PyInt.of(number));
                if (!settings.distributed()) {
                    PyInt key = PyInt.of(number);
                    state.add(new PyDict.Entry(key, states(torch, held, !of.has(STEP))));
                    if (weight(held) != DType.FLOAT32) {
                        own.add(whole(torch, held, MASTER));
                    }
                }
                number++;
            }
            groups.add(settings.distributed() ? of : of.with("params", PyList.of(numbers)));
            masters.add(PyList.of(own));
        }
        Map<String, PickleValue> inner = new LinkedHashMap<>();
        if (!settings.distributed()) {
            inner.put("state", PyDict.of(state));
        }
        inner.put("param_groups", PyList.of(groups));
        if (!settings.distributed() && !settings.masters()) {
            return PyDict.of(inner);
        }
        PyDict outer = PyDict.of(Map.of("optimizer", PyDict.of(inner)));
        for (PyDict.Entry more : settings.outer().entries()) {
            outer = outer.with(more.key(), more.value());
        }
        return settings.distributed()
                ? outer
                : outer.with("fp32_from_fp16_params", PyList.of(masters));
    }

    /// @param counted whether the steps are counted for each parameter
    private PyDict states(TorchBuilder torch, HeldShard held, boolean counted) {
        Map<String, PickleValue> states = new LinkedHashMap<>();
        Scalar step = held.facts().scalars().get(STEP);
        if (counted && step != null) {
            states.put(STEP, torch.scalar(step));
        }
        for (String state : stateNames(held.facts())) {
            states.put(state, whole(torch, held, state));
        }
        return PyDict.of(states);
    }

    /// Without the parameter itself.
    private static List<String> stateNames(ParameterFacts facts) {
        return facts.states().keySet().stream()
                .filter(s -> !s.equals(MASTER) && !s.equals(WEIGHT))
                .toList();
    }

    private static PickleValue whole(TorchBuilder torch, HeldShard held, String state) {
        DType dtype = state.equals(MASTER) ? DType.FLOAT32 : dtype(held, state);
        return TensorPickles.write(torch.tensor(dtype, held.shape(), held.parts(state, dtype, 0)));
    }

    private static DType dtype(HeldShard held, String state) {
        DType dtype = held.facts().states().get(state);
        if (dtype == null) {
            throw new RefusedException(
                    held.facts().name(),
                    "there is no state `%s`".formatted(state),
                    "the same states for every parameter",
                    "--to universal keeps what there is");
        }
        return dtype;
    }

    private static DType weight(HeldShard held) {
        DType own = held.facts().states().get(WEIGHT);
        return own == null ? DType.FLOAT32 : own;
    }

    /// `distrib_optim.pt` of a rank.
    ///
    /// @param writesDense the rank is the first of its data-parallel group
    /// @param writesExperts the rank is the first of those that hold the same experts
    PickleValue buffers(
            TorchBuilder torch,
            List<List<HeldShard>> chunks,
            int stage,
            boolean writesDense,
            boolean writesExperts) {
        if (!grid.expertOptimizer()) {
            return buffers(torch, chunks, stage);
        }
        return PyList.of(
                writesDense ? buffers(torch, filtered(chunks, false), stage) : PyNone.NONE,
                writesExperts ? buffers(torch, filtered(chunks, true), stage) : PyNone.NONE);
    }

    private static List<List<HeldShard>> filtered(List<List<HeldShard>> chunks, boolean experts) {
        return chunks.stream()
                .map(c -> c.stream().filter(h -> h.isExpert() == experts).toList())
                .toList();
    }

    private PickleValue buffers(TorchBuilder torch, List<List<HeldShard>> chunks, int stage) {
        List<PyDict.Entry> entries = new ArrayList<>();
        entries.add(new PyDict.Entry(PyText.of("buckets_coalesced"), new PyBool(true)));
        long number = 0;
        for (int c = 0; c < chunks.size(); c++) {
            Map<DType, List<HeldShard>> byDtype = new LinkedHashMap<>();
            for (HeldShard held : chunks.get(c)) {
                byDtype.computeIfAbsent(weight(held), _ -> new ArrayList<>()).add(held);
            }
            for (Map.Entry<DType, List<HeldShard>> e : byDtype.entrySet()) {
                PyTuple dtypes =
                        OptimizerSettings.dtypes(
                                e.getKey().torchName(),
                                arguments.is("accumulate_allreduce_grads_in_fp32"));
                PyDict buffer = buffer(torch, e.getValue(), bucketSize(c, stage, chunks));
                entries.add(
                        new PyDict.Entry(
                                PyInt.of(number++),
                                PyDict.of(List.of(new PyDict.Entry(dtypes, buffer)))));
            }
        }
        return PyDict.of(entries);
    }

    private PyDict buffer(TorchBuilder torch, List<HeldShard> members, OptionalLong bucketSize) {
        GradientBuffer layout =
                GradientBuffer.of(
                        members.stream()
                                .map(h -> new GradientBuffer.Member(h.shape().count(), isShared(h)))
                                .toList(),
                        bucketSize,
                        GradientBuffer.ALIGNMENT);
        Map<String, PickleValue> tensors = new LinkedHashMap<>();
        // One that never was stepped has none: those of the others are not to go with them.
        Set<String> states = new LinkedHashSet<>(List.of(MASTER));
        members.forEach(member -> states.addAll(stateNames(member.facts())));
        for (String state : states) {
            List<Part> parts = new ArrayList<>();
            for (int i = members.size() - 1; i >= 0; i--) {
                long offset = layout.starts().get(i) * DType.FLOAT32.width();
                parts.addAll(members.get(i).parts(state, DType.FLOAT32, offset));
            }
            tensors.put(
                    state.equals(MASTER) ? "param" : state,
                    TensorPickles.write(
                            torch.tensor(DType.FLOAT32, Shape.of(layout.count()), parts)));
        }
        tensors.put("numel_unpadded", PyInt.of(layout.count()));
        return PyDict.of(tensors);
    }

    private boolean isShared(HeldShard held) {
        return model.tied()
                && grid.pp() > 1
                && (Names.isEmbedding(held.name()) || Names.isHead(held.name()));
    }

    private OptionalLong bucketSize(int chunk, int stage, List<List<HeldShard>> chunks) {
        long elements =
                chunks.stream().flatMap(List::stream).mapToLong(h -> h.shape().count()).sum();
        return GradientBuffer.bucketSize(arguments, grid, chunk, stage, elements);
    }
}
