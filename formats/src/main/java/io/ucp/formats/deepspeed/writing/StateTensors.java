package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.deepspeed.writing.OptimizerGroups.Group;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;

/// What the training script's own optimizer holds, whichever of DeepSpeed's is around it: masters,
/// states and hyperparameters of a group.
///
/// @param expertRanks expert-parallel ranks, 0 where there are no experts
record StateTensors(OptimizerModel model, int expertRanks) {
    PickleValue paramGroup(int source, List<PyInt> members) {
        if (source >= model.paramGroups().size()) {
            throw new RefusedException(
                    model.file().path(),
                    "no hyperparameters of optimizer group " + source,
                    "`param_groups` with one entry a group",
                    "--to deepspeed-universal, where the job has its own");
        }
        PyDict group = model.paramGroups().get(source).asDict().orElse(PyDict.empty());
        if (ExpertSplit.isExpert(group)) {
            group = group.with("name", PyText.of("ep_size_" + expertRanks));
        }
        return group.with("params", PyList.of(members));
    }

    static PickleValue master(TorchBuilder torch, Group group, long count) {
        DType dtype = dtype(group, Held.FP32);
        TorchTensor tensor =
                torch.tensor(
                        dtype,
                        Shape.of(count),
                        group.parts().parts(group.part(), Held.FP32, dtype));
        return TensorPickles.write(tensor.requiringGrad(true));
    }

    private static DType dtype(Group group, String state) {
        Held first = group.parts().members().getFirst();
        DType dtype = first.dtype(state);
        for (Held member : group.parts().members()) {
            if (member.dtype(state) != dtype) {
                throw new RefusedException(
                        member.facts().name(),
                        "`%s` is %s, and %s of %s"
                                .formatted(
                                        state,
                                        member.dtype(state).torchName(),
                                        dtype.torchName(),
                                        first.facts().name()),
                        "one dtype in an optimizer group",
                        "--to deepspeed-universal, which holds each parameter by itself");
            }
        }
        return dtype;
    }

    /// The optimizer's own states of a group, in the order of the source's.
    ///
    /// @param count elements of each
    PyDict states(TorchBuilder torch, Group group, long count) {
        return states(
                group,
                name -> {
                    DType dtype = dtype(group, name);
                    return torch.tensor(
                            dtype, Shape.of(count), group.parts().parts(group.part(), name, dtype));
                },
                name -> torch.scalar(scalar(group, name)));
    }

    /// Those of one member, where each has its own.
    PyDict states(TorchBuilder torch, Group group, Held member) {
        return states(
                group,
                name -> tensor(torch, member, name),
                name -> torch.scalar(scalar(group, name)));
    }

    /// The whole of a state of one member.
    static TorchTensor tensor(TorchBuilder torch, Held member, String state) {
        DType dtype = member.dtype(state);
        return torch.tensor(
                dtype,
                member.shard().shape(),
                member.part(state, dtype, 0, member.count(), 0).stream().toList());
    }

    private PyDict states(
            Group group,
            Function<String, TorchTensor> tensors,
            Function<String, PickleValue> numbers) {
        Map<String, PickleValue> model = this.model.statesOf(group.source());
        List<ParameterFacts> members = group.parts().members().stream().map(Held::facts).toList();
        Set<String> names = new LinkedHashSet<>(model.keySet());
        if (names.isEmpty()) {
            members.stream()
                    .flatMap(p -> p.scalars().keySet().stream())
                    .filter(s -> !this.model.keepsForGroup(group.source(), s))
                    .forEach(names::add);
        }
        members.stream()
                .flatMap(p -> p.states().keySet().stream())
                .filter(s -> !s.equals(Held.FP32) && !s.equals(Held.WEIGHT))
                .forEach(names::add);
        Map<String, PickleValue> states = new LinkedHashMap<>();
        for (String name : names) {
            if (members.stream().anyMatch(p -> p.states().containsKey(name))) {
                states.put(name, TensorPickles.write(tensors.apply(name)));
            } else if (members.stream().anyMatch(p -> p.scalars().containsKey(name))) {
                states.put(name, numbers.apply(name));
            } else if (model.getOrDefault(name, PyText.of("")).isNone()) {
                states.put(name, model.get(name));
            } else {
                throw new RefusedException(
                        this.model.file().path(),
                        "the optimizer's state `%s`, which is neither a number nor as long as the"
                                        .formatted(name)
                                + " group",
                        "states that can be cut as parameters are",
                        "--to universal keeps the file as it is");
            }
        }
        return PyDict.of(Collections.unmodifiableMap(states));
    }

    private static Scalar scalar(Group group, String name) {
        List<ParameterFacts> members = group.parts().members().stream().map(Held::facts).toList();
        ParameterFacts first =
                members.stream()
                        .filter(p -> p.scalars().containsKey(name))
                        .findFirst()
                        .orElseThrow();
        Scalar value = Objects.requireNonNull(first.scalars().get(name));
        for (ParameterFacts member : members) {
            Scalar other = member.scalars().get(name);
            if (!value.equals(other)) {
                throw new RefusedException(
                        member.name(),
                        "`%s` is %s, and %s of %s"
                                .formatted(
                                        name,
                                        other == null ? "not there" : other,
                                        value,
                                        first.name()),
                        "one value in an optimizer group",
                        "--to deepspeed-universal, which holds each parameter by itself");
            }
        }
        return value;
    }
}
