package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.writing.LeftOut;
import io.ucp.formats.deepspeed.writing.RankGroups;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// The files of DeepSpeed's universal form for a state.
final class UniversalLayout {
    private final WriteRequest request;
    private final String folder;
    private final List<CarriedFile> modelStates;
    private final boolean stage3;
    private final boolean flat;
    private final Optional<SavedMetadata> metadata;
    private final FusedLayers fused;
    private final Map<String, Long> experts;
    private final List<TargetFile> files = new ArrayList<>();
    private final Losses losses = new Losses();

    private UniversalLayout(WriteRequest request) {
        this.request = request;
        this.folder = request.tag() + UniversalFolder.SUFFIX;
        boolean deepspeed = request.origin().format().startsWith("deepspeed");
        this.modelStates =
                deepspeed
                        ? request.carried().stream()
                                .filter(c -> c.role().equals(Carried.MODEL_STATES))
                                .toList()
                        : List.of();
        this.stage3 = !modelStates.isEmpty() && request.origin().stage() == 3;
        this.flat = stage3 && degree("tp") == 1;
        this.metadata =
                modelStates.stream()
                        .flatMap(c -> c.root().stream())
                        .findFirst()
                        .map(SavedMetadata::new);
        this.fused = FusedLayers.of(modelStates.stream().flatMap(c -> c.root().stream()).toList());
        this.experts = fused.experts();
    }

    private int degree(String axis) {
        return request.origin().mesh().stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(a -> a.degree())
                .findFirst()
                .orElse(1);
    }

    static TargetTree of(WriteRequest request) {
        request.options().keySet().stream()
                .findFirst()
                .ifPresent(
                        option -> {
                            throw new RefusedException(
                                    DeepSpeedUniversalFormat.NAME,
                                    "the option '%s'".formatted(option),
                                    "none: DeepSpeed reads torch files as they are",
                                    "leave it out");
                        });
        FolderNames.checkTag(request.tag());
        return new UniversalLayout(LeftOut.of(request)).tree();
    }

    private TargetTree tree() {
        List<ParameterFacts> held = request.parameters().stream().filter(this::trained).toList();
        Experts.refuse(request, held, fused);
        ForeignJob foreign = ForeignJob.of(request, held);
        List<ParameterFacts> trained =
                modelStates.isEmpty() ? held.stream().map(foreign::renumbered).toList() : held;
        for (ParameterFacts parameter : trained) {
            FolderNames.check(parameter);
            parameter(parameter);
        }
        optimizerState(trained, foreign);
        if (modelStates.isEmpty()) {
            PlainModelStates plain = new PlainModelStates();
            PyDict root = plain.of(request, trained, foreign.training());
            files.add(torch(PlainModelStates.FILE, root, plain.storages()));
            losses.plain(request, foreign.training().steps(request).orElse(0));
        }
        boolean ungrouped = !modelStates.isEmpty() && request.origin().stage() == 0;
        if (ungrouped
                && modelStates.size() > 1
                && metadata.flatMap(m -> m.paramGroups()).isPresent()) {
            losses.members();
        }
        for (CarriedFile states : modelStates) {
            files.add(modelStates(states, trained));
        }
        losses.leftBehind(request, !modelStates.isEmpty());
        return new TargetTree(
                files,
                _ -> List.of(),
                List.of(
                        new TargetTree.SmallFile(
                                DeepSpeedUniversalFormat.POINTER,
                                folder.getBytes(StandardCharsets.UTF_8))),
                losses.lines(),
                losses.notes());
    }

    /// In a ZeRO job, what the optimizer does not hold is in the model states alone.
    private boolean trained(ParameterFacts p) {
        boolean zero = !modelStates.isEmpty() && request.origin().stage() > 0;
        boolean held = p.states().keySet().stream().anyMatch(s -> !s.equals(Assembly.WEIGHT));
        return p.trainable() && !p.buffer() && (held || !zero);
    }

    private void parameter(ParameterFacts p) {
        String path = UniversalFolder.ZERO + "/" + p.name() + "/";
        Map<String, Elementwise> states = new LinkedHashMap<>();
        Shape shape = isBare(p) ? Shape.of(p.shape().count()) : realShape(p);
        p.states()
                .forEach(
                        (state, dtype) -> {
                            if (!state.equals(Assembly.WEIGHT)) {
                                states.put(state, heldElements(p, state, dtype));
                            }
                        });
        if (!states.containsKey(Assembly.FP32)) {
            states.put(Assembly.FP32, master(p));
        }
        states.forEach(
                (state, elements) ->
                        files.add(state(path + state + ".pt", p, state, elements, shape)));
        p.scalars().forEach((name, value) -> scalar(path, p, name, value));
    }

    /// Of stage 3 a tensor is flat and without keys, but one of experts.
    private boolean isBare(ParameterFacts p) {
        return flat && !experts.containsKey(p.name());
    }

    /// Flat tensors are never stripped: they have to fit `param_shapes`.
    private Elementwise heldElements(ParameterFacts p, String state, DType dtype) {
        return elements(p, state, dtype, flat ? p.shape() : p.realShape());
    }

    private static Shape realShape(ParameterFacts p) {
        return p.padded() ? p.realShape() : SplitKeys.shapeInFile(p.split(), p.shape());
    }

    /// A source without master weights: its own weights are those, as wide as they become.
    private Elementwise master(ParameterFacts p) {
        DType dtype = p.states().get(Assembly.WEIGHT);
        if (dtype != DType.FLOAT32 && dtype != DType.BFLOAT16 && dtype != DType.FLOAT16) {
            throw new RefusedException(
                    p.name(),
                    dtype == null
                            ? "there is neither an fp32 state nor a weight"
                            : "there is no fp32 state, and the weight is " + dtype.torchName(),
                    "the fp32 state, which DeepSpeed loads parameters from",
                    "--to universal keeps what there is");
        }
        losses.weightAsMaster(p.name());
        Elementwise weight = heldElements(p, Assembly.WEIGHT, dtype);
        return new Elementwise(
                weight.parameter(), weight.state(), DType.FLOAT32, weight.count(), weight.pieces());
    }

    /// The elements in `shape`, counted from the origin: rows past it are padding.
    static Elementwise elements(ParameterFacts p, String state, DType dtype, Shape shape) {
        List<Piece> pieces =
                shape.count() == 0
                        ? List.of()
                        : List.of(Piece.box(p.shape(), new long[shape.rank()], shape.dims()));
        return new Elementwise(p.name(), state, dtype, shape.count(), pieces);
    }

    private TargetFile state(
            String path, ParameterFacts p, String state, Elementwise elements, Shape shape) {
        // Upstream cuts fp32 out of what was a parameter, and torch keeps the mark.
        PickleValue tensor =
                TensorPickles.write(
                        TorchTensor.contiguous(elements.dtype(), shape, "0")
                                .requiringGrad(state.equals(Assembly.FP32)));
        Map<String, Storage> storages =
                Map.of(
                        "0",
                        new Storage(
                                elements.size(),
                                elements.count() == 0
                                        ? List.of()
                                        : List.of(new Content.Elements(0, elements))));
        return torch(path, isBare(p) ? tensor : keyed(p, tensor), storages);
    }

    private PyDict keyed(ParameterFacts p, PickleValue tensor) {
        Long count = experts.get(p.name());
        if (count != null) {
            return SplitKeys.ofExperts(tensor, count);
        }
        Split split = p.split();
        List<String> patterns =
                split.kind() == SplitKind.FUSED
                        ? metadata.flatMap(m -> m.subParamPatterns(p.name()))
                                .orElseGet(() -> List.of(SavedMetadata.literally(p.name())))
                        : List.of();
        return SplitKeys.of(tensor, split, p.shape(), patterns, split.vocabulary() || p.padded());
    }

    /// Only `step` has a place, and in stage 3 that is in the optimizer's state.
    private void scalar(String path, ParameterFacts p, String name, Scalar value) {
        if (!name.equals(StateFolder.STEP)) {
            losses.scalar(p.name(), name);
        } else if (!stage3) {
            boolean own = request.origin().format().startsWith("deepspeed");
            files.add(step(path + StateFolder.STEP + ".pt", own ? value : ForeignJob.step(value)));
        }
    }

    private TargetFile step(String path, Scalar value) {
        TorchBuilder torch = new TorchBuilder(Map.of());
        return torch.file(folder + "/" + path, torch.scalar(value));
    }

    private void optimizerState(List<ParameterFacts> trained, ForeignJob foreign) {
        String path = UniversalFolder.ZERO + "/" + UniversalFolder.OPTIMIZER_STATE;
        Optional<CarriedFile> common = first(Carried.OPTIMIZER_STATE);
        Optional<CarriedFile> rankZero = first(Carried.OPTIMIZER);
        if (modelStates.isEmpty() || (common.isEmpty() && rankZero.isEmpty())) {
            Optional<PickleValue> own = metadata.flatMap(SavedMetadata::paramGroups);
            Optional<PyList> made = metadata.isEmpty() ? foreign.groups() : Optional.empty();
            PyDict state = OptimizerState.plain(trained, own.or(() -> made));
            if (own.isPresent()) {
                tellOfUnlike(
                        modelStates,
                        f -> f.root().flatMap(r -> new SavedMetadata(r).paramGroups()));
            }
            files.add(
                    torch(
                            path,
                            state,
                            own.isPresent() ? modelStates.getFirst().storages() : Map.of()));
            made.ifPresentOrElse(
                    groups -> losses.groups(trained, groups),
                    () -> losses.optimizer(own.isPresent()));
        } else if (common.isPresent()) {
            files.add(carried(common.get(), path));
        } else {
            CarriedFile file = rankZero.orElseThrow();
            PyDict state = OptimizerState.ofRankZero(file, stage3, degree("dp"));
            files.add(torch(path, state, file.storages()));
            List<CarriedFile> ranks =
                    request.carried().stream()
                            .filter(c -> c.role().equals(Carried.OPTIMIZER))
                            .toList();
            tellOfUnlike(ranks, f -> OptimizerState.groups(f, stage3));
        }
    }

    /// The form has a place for the hyperparameters of one rank: the first's, as upstream.
    private void tellOfUnlike(
            List<CarriedFile> files, Function<CarriedFile, Optional<PickleValue>> groups) {
        List<RankGroups> ranks =
                files.stream()
                        .map(
                                f ->
                                        new RankGroups(
                                                f,
                                                groups.apply(f)
                                                        .flatMap(PickleValue::asSequence)
                                                        .orElse(List.of())))
                        .sorted(Comparator.comparing(r -> !isFirst(r.file())))
                        .toList();
        for (RankGroups other : ranks) {
            ranks.getFirst()
                    .unlike(other)
                    .ifPresent(found -> losses.hyperparameters(other.file().path(), found));
        }
    }

    /// The first rank's file of a role.
    private Optional<CarriedFile> first(String role) {
        return request.carried().stream()
                .filter(c -> c.role().equals(role))
                .filter(UniversalLayout::isFirst)
                .findFirst();
    }

    private static boolean isFirst(CarriedFile file) {
        return file.at().indices().values().stream().allMatch(i -> i == 0);
    }

    /// As it was, but for what upstream notes of the layers with fused experts, and for the groups
    /// that nothing else tells.
    private TargetFile modelStates(CarriedFile states, List<ParameterFacts> trained) {
        Optional<PickleValue> noted =
                states.root().map(root -> grouped(fused.in(root, stage3), trained));
        return noted.equals(states.root())
                ? carried(states, states.path())
                : torch(states.path(), noted.orElseThrow(), states.storages());
    }

    /// A job without ZeRO lists no `param_shapes`: its groups follow from its optimizer, which this
    /// form has no place for. Where one rank has every parameter they are listed as with ZeRO, so
    /// that a job can be made of the form again. DeepSpeed does not read them.
    private PickleValue grouped(PickleValue root, List<ParameterFacts> trained) {
        boolean listed = root.find(PlainModelStates.SHAPES).filter(s -> !s.isNone()).isPresent();
        boolean told = trained.stream().allMatch(p -> p.optimizerGroup() >= 0);
        return request.origin().stage() > 0 || listed || !told || modelStates.size() > 1
                ? root
                : root.asDict()
                        .map(d -> d.with(PlainModelStates.SHAPES, PlainModelStates.shapes(trained)))
                        .map(PickleValue.class::cast)
                        .orElse(root);
    }

    /// A file as it was: copied where it lies on disk, else made again from its object.
    private TargetFile carried(CarriedFile file, String path) {
        if (file.file().isPresent()) {
            ByteSource source = file.file().get();
            return new TargetFile(
                    folder + "/" + path,
                    source.size(),
                    source.size() == 0
                            ? List.of()
                            : List.of(new TargetFile.Part.Copied(0, source, 0, source.size())),
                    List.of(),
                    Optional.empty());
        }
        return torch(path, file.root().orElseThrow(), file.storages());
    }

    /// @param path inside the folder
    private TargetFile torch(String path, PickleValue root, Map<String, Storage> storages) {
        return new TorchBuilder(storages).file(folder + "/" + path, root);
    }
}
