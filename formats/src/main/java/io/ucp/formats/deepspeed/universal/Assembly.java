package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// Puts together what the model states list, what the folders hold, and the model's own weights.
final class Assembly {
    static final String WEIGHT = "weight";
    static final String FP32 = "fp32";

    private final Enrolment enrolment;
    private final Map<String, StateFolder> folders;
    private final Map<String, TensorEntry> weights;
    private final LayoutHints hints;
    private final Map<String, List<String>> aliases = new HashMap<>();
    private final Path folder;
    private final List<Finding> findings = new ArrayList<>();

    /// @param weights of the model, by name, where one file holds them whole
    Assembly(
            Enrolment enrolment,
            Map<String, StateFolder> folders,
            Map<String, TensorEntry> weights,
            LayoutHints hints,
            Path folder) {
        this.enrolment = enrolment;
        this.folders = folders;
        this.weights = weights;
        this.hints = hints;
        this.folder = folder;
        hints.aliases()
                .forEach(
                        (alias, name) ->
                                aliases.computeIfAbsent(name, _ -> new ArrayList<>()).add(alias));
        aliases.values().forEach(a -> a.sort(null));
    }

    List<Finding> findings() {
        return findings;
    }

    /// Trainable parameters in the order of `param_shapes`, then those only folders know, then
    /// frozen ones and buffers.
    List<WholeParameter> parameters() throws IncompleteCheckpointException {
        List<WholeParameter> all = new ArrayList<>();
        Map<Integer, Set<String>> states = statesOfGroups();
        for (Map.Entry<String, Enrolment.Entry> each : enrolment.entries().entrySet()) {
            String name = each.getKey();
            StateFolder found = folders.get(name);
            if (found == null) {
                noFolder(name);
                continue;
            }
            checkStates(name, found, states.getOrDefault(each.getValue().group(), Set.of()));
            all.add(trainable(name, found, each.getValue()));
        }
        for (Map.Entry<String, StateFolder> each : folders.entrySet()) {
            if (!enrolment.entries().containsKey(each.getKey())) {
                findings.add(
                        new Finding(
                                each.getKey(),
                                "no model states file lists this parameter in param_shapes; its"
                                        + " optimizer group is not known"));
                all.add(
                        trainable(
                                each.getKey(),
                                each.getValue(),
                                new Enrolment.Entry(-1, List.of(), Optional.empty())));
            }
        }
        weightsAlone(all);
        return all;
    }

    private void noFolder(String name) throws IncompleteCheckpointException {
        if (Experts.ofDeepSpeedMoe(name)) {
            findings.add(
                    new Finding(
                            name,
                            "an expert, which DeepSpeed's universal form does not hold: convert the"
                                    + " original checkpoint with --to universal"));
            return;
        }
        throw new IncompleteCheckpointException(
                folder.resolve(UniversalFolder.ZERO).resolve(name).toString(),
                "the folder is missing, yet param_shapes lists the parameter",
                "a folder for every trainable parameter",
                "copy it from where the checkpoint was written, or convert the source again");
    }

    /// The parameters of a group have the same optimizer, hence the same states.
    private Map<Integer, Set<String>> statesOfGroups() {
        Map<Integer, Set<String>> states = new HashMap<>();
        enrolment
                .entries()
                .forEach(
                        (name, entry) -> {
                            StateFolder found = folders.get(name);
                            if (found != null) {
                                states.computeIfAbsent(entry.group(), _ -> new TreeSet<>())
                                        .addAll(found.states().keySet());
                            }
                        });
        return states;
    }

    private static void checkStates(String name, StateFolder found, Set<String> expected)
            throws IncompleteCheckpointException {
        Set<String> missing = new TreeSet<>(expected);
        missing.add(FP32);
        missing.removeAll(found.states().keySet());
        if (!missing.isEmpty()) {
            throw new IncompleteCheckpointException(
                    found.folder().toString(),
                    "%s.pt is missing".formatted(String.join(".pt, ", missing)),
                    "the states that the other parameters of the group have: "
                            + String.join(", ", expected),
                    "copy the files of '%s' from where the checkpoint was written".formatted(name));
        }
    }

    private WholeParameter trainable(String name, StateFolder found, Enrolment.Entry entry)
            throws IncompleteCheckpointException {
        found.odd().forEach(line -> findings.add(new Finding(name, line)));
        Shape shape = shape(found, entry);
        Map<String, TensorEntry> states = new LinkedHashMap<>();
        found.states()
                .forEach(
                        (state, tensor) -> {
                            if (state.equals(FP32)) {
                                states.put(state, reshaped(tensor, shape));
                            }
                        });
        found.states().forEach((state, tensor) -> states.put(state, reshaped(tensor, shape)));
        TensorEntry weight = weights.get(name);
        if (weight != null && weight.shape().count() > 0 && found.split().experts().isEmpty()) {
            TensorEntry own = weight(found, weight, shape);
            states.putIfAbsent(WEIGHT, own);
        }
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        found.step().or(entry::step).ifPresent(step -> scalars.put(StateFolder.STEP, step));
        return WholeParameter.of(
                facts(name, shape, states, scalars, found.split(), true, false, entry.group()),
                states);
    }

    /// The model's own weight has the states' shape, but for the rows of a vocabulary that the
    /// universal form leaves out.
    private static TensorEntry weight(StateFolder found, TensorEntry weight, Shape shape)
            throws IncompleteCheckpointException {
        if (weight.shape().equals(shape)) {
            return weight;
        }
        boolean padded =
                found.split().vocabulary()
                        && weight.isDense()
                        && weight.shape().rank() == shape.rank()
                        && shape.rank() > 0
                        && weight.shape().dim(0) > shape.dim(0)
                        && weight.shape().with(0, shape.dim(0)).equals(shape);
        if (!padded) {
            throw new IncompleteCheckpointException(
                    found.folder().toString(),
                    "the states have shape " + shape,
                    "%s, the shape of the model's own weight".formatted(weight.shape()),
                    "one of them is of another checkpoint; convert the source again");
        }
        return TensorEntry.dense(weight.source(), weight.offset(), weight.dtype(), shape);
    }

    /// A flat tensor has its shape from `param_shapes`; others have one, which has to be what the
    /// ranks' shapes make together.
    private Shape shape(StateFolder found, Enrolment.Entry entry)
            throws IncompleteCheckpointException {
        Shape held = found.shape();
        Split split = found.split();
        if (entry.shapes().isEmpty()) {
            return held;
        }
        if (split.experts().isPresent()) {
            return ofExperts(found, entry.shapes().getFirst());
        }
        if (split.kind() == SplitKind.FUSED && !split.subShape().isEmpty()) {
            return viewed(found, entry.shapes());
        }
        Shape made = made(split, entry.shapes());
        boolean stripped =
                split.vocabulary()
                        && held.rank() == made.rank()
                        && held.rank() > 0
                        && held.dim(0) <= made.dim(0)
                        && made.with(0, held.dim(0)).equals(held);
        if (found.flat() ? held.count() != made.count() : !held.equals(made) && !stripped) {
            throw new IncompleteCheckpointException(
                    found.folder().toString(),
                    "the states have shape " + held,
                    "%s, which is what param_shapes of the model states make".formatted(made),
                    "one of them is of another checkpoint; convert the source again");
        }
        return found.flat() ? made : held;
    }

    /// Ranks have an equal part of the experts each.
    private static Shape ofExperts(StateFolder found, Shape local)
            throws IncompleteCheckpointException {
        Shape held = found.shape();
        boolean fits =
                local.rank() == held.rank()
                        && local.dim(0) > 0
                        && held.dim(0) % local.dim(0) == 0
                        && local.with(0, held.dim(0)).equals(held);
        if (!fits) {
            throw new IncompleteCheckpointException(
                    found.folder().toString(),
                    "the states have shape %s, of %d experts".formatted(held, held.dim(0)),
                    "a multiple of %s, a rank's part, which param_shapes of the model states list"
                            .formatted(local),
                    "one of them is of another checkpoint; convert the source again");
        }
        return held;
    }

    private static Shape made(Split split, List<Shape> shapes) {
        Shape first = shapes.getFirst();
        boolean whole =
                switch (split.kind()) {
                    case REPLICATED, AVERAGED -> true;
                    case UNKNOWN, SHARDED, FUSED -> shapes.size() == 1 || first.rank() == 0;
                };
        return whole ? first : joined(shapes, Math.min(split.dim(), first.rank() - 1));
    }

    private static Shape joined(List<Shape> shapes, int dim) {
        long extent = 0;
        for (Shape shape : shapes) {
            extent = Math.addExact(extent, dim < shape.rank() ? shape.dim(dim) : 0);
        }
        return shapes.getFirst().with(dim, extent);
    }

    /// The parameter's own shape, where the tensor lies in the shape of its sub-parameters. The
    /// ranks' shapes are joined along the dimension that the cut one of the view lies in: the one
    /// with as many elements before it.
    ///
    /// @throws IncompleteCheckpointException where they make no such shape, or several
    private static Shape viewed(StateFolder found, List<Shape> shapes)
            throws IncompleteCheckpointException {
        Shape held = found.shape();
        Shape first = shapes.getFirst();
        Set<Shape> fitting = new LinkedHashSet<>();
        if (shapes.size() == 1) {
            fitting.add(first);
        }
        for (int d = 0; shapes.size() > 1 && d < first.rank(); d++) {
            if (before(first, d) == before(held, found.split().dim())) {
                fitting.add(joined(shapes, d));
            }
        }
        if (fitting.contains(held)) {
            return held;
        }
        fitting.removeIf(shape -> shape.count() != held.count());
        if (fitting.size() != 1) {
            throw new IncompleteCheckpointException(
                    found.folder().toString(),
                    "the states have shape %s, cut along dim %d"
                            .formatted(held, found.split().dim()),
                    "one shape that %s, which param_shapes of the model states list, make along it"
                            .formatted(shapes),
                    "one of them is of another checkpoint; convert the source again");
        }
        return fitting.iterator().next();
    }

    /// Elements of the dimensions before one.
    private static long before(Shape shape, int dim) {
        long count = 1;
        for (int d = 0; d < Math.min(dim, shape.rank()); d++) {
            count = Math.multiplyExact(count, shape.dim(d));
        }
        return count;
    }

    private static TensorEntry reshaped(TensorEntry tensor, Shape shape) {
        return tensor.isDense() && !tensor.shape().equals(shape)
                ? TensorEntry.dense(tensor.source(), tensor.offset(), tensor.dtype(), shape)
                : tensor;
    }

    /// Frozen parameters and buffers are in the model states alone. What is neither trained nor a
    /// buffer is frozen: before stage 2, DeepSpeed does not list frozen parameters.
    private void weightsAlone(List<WholeParameter> into) {
        weights.forEach(
                (name, weight) -> {
                    boolean known =
                            enrolment.entries().containsKey(name)
                                    || folders.containsKey(name)
                                    || hints.aliases().containsKey(name);
                    if (known || weight.shape().count() == 0 || Experts.ofDeepSpeedMoe(name)) {
                        return;
                    }
                    boolean buffer = hints.buffers().contains(name);
                    Map<String, TensorEntry> states = Map.of(WEIGHT, weight);
                    Shape shape = weight.shape();
                    into.add(
                            WholeParameter.of(
                                    facts(
                                            name,
                                            shape,
                                            states,
                                            Map.of(),
                                            Split.UNKNOWN,
                                            false,
                                            buffer,
                                            -1),
                                    states));
                });
    }

    private ParameterFacts facts(
            String name,
            Shape shape,
            Map<String, TensorEntry> states,
            Map<String, Scalar> scalars,
            Split split,
            boolean trainable,
            boolean buffer,
            int group) {
        Map<String, DType> dtypes = new LinkedHashMap<>();
        states.forEach((state, tensor) -> dtypes.put(state, tensor.dtype()));
        return new ParameterFacts(
                name,
                shape,
                shape,
                dtypes,
                scalars,
                split,
                trainable,
                buffer,
                group,
                aliases.getOrDefault(name, List.of()),
                Map.of(),
                List.of());
    }
}
