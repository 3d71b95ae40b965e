package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.writing.OptimizerModel.Kind;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// All files of a rank-sharded checkpoint, and the pointers to it.
public final class RankedTree {
    /// The options of the form.
    public static final Set<String> OPTIONS = Choices.KNOWN;

    private static final String LATEST = "latest";
    private static final String MEGATRON_LATEST = "latest_checkpointed_iteration.txt";

    /// Written anew, or of what is not copied along.
    private static final Set<String> POINTERS = Set.of(LATEST, "latest_universal", MEGATRON_LATEST);

    private static final String BESIDE = "beside/";

    private final WriteRequest request;
    private final TargetJob job;
    private final Ranks target;
    private final Choices choices;
    private final SourceFiles source;
    private final OptimizerModel optimizer;
    private final boolean made;
    private final List<TargetFile> files = new ArrayList<>();
    private final List<String> losses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    private RankedTree(WriteRequest asked, TargetJob job) {
        this.job = job;
        this.made = MadeJob.isNeeded(asked);
        if (made) {
            MadeJob own = MadeJob.of(asked, job);
            this.request = own.request();
            losses.addAll(own.losses());
            notes.addAll(own.notes());
        } else {
            this.request = asked;
        }
        this.target = Ranks.of(job);
        this.choices = Choices.of(request.options());
        if (job.degree("cp") > 1) {
            throw new RefusedException(
                    request.tag(),
                    "a job with cp %d".formatted(job.degree("cp")),
                    "tensor, pipeline, data and expert parallelism",
                    "--to universal keeps the state; this axis is not laid out anew yet");
        }
        if (choices.weightsOnly() && job.stage() == 3) {
            throw new RefusedException(
                    request.tag(),
                    "weights alone of a job of ZeRO stage 3, which keeps them in the optimizer's"
                            + " files",
                    "a stage whose model states hold the weights",
                    "--zero 2, or --to safetensors");
        }
        this.source = new SourceFiles(request, !choices.weightsOnly());
        this.optimizer =
                choices.weightsOnly() ? OptimizerModel.none(source) : OptimizerModel.of(source);
    }

    /// @throws RefusedException where DeepSpeed has no form for the state, or there is none here
    ///   yet
    public static TargetTree of(WriteRequest request) {
        TargetJob job =
                request.job()
                        .orElseThrow(
                                () ->
                                        new RefusedException(
                                                request.tag(),
                                                "no job is named",
                                                "the degrees of the job that is to load it",
                                                "give --tp, --pp, --dp"));
        MadeLayerFiles.refuseBuffers(request);
        return new RankedTree(LeftOut.of(request), job).tree();
    }

    private TargetTree tree() {
        AutoEpLayers autoEp = AutoEpLayers.of(source.firstModel());
        autoEp.check(request, job);
        PyDict config =
                SourceFiles.dict(source.firstModel())
                        .find("ds_config")
                        .or(() -> optimizer.root().find("ds_config"))
                        .flatMap(PickleValue::asDict)
                        .map(c -> autoEp.configured(c, job.degree("ep")))
                        .orElse(PyDict.empty());
        Batch batch = Batch.of(config, choices, source.ranks(), target);
        boolean sameStage = !made && job.stage() == request.origin().stage();
        Configuration configuration =
                Configuration.of(config, batch, job.stage(), sameStage, choices.dtype());
        Kind kind = kind(configuration);
        refuseUnknownOrder();
        refuseTrainableOutsideGroups();
        ExpertPlaces places = places(configuration);
        RankHoldings holdings =
                new RankHoldings(request, job, target, places, configuration.dtype());
        ExpertFiles experts =
                new ExpertFiles(
                        target,
                        places,
                        holdings,
                        autoEp,
                        RankHoldings.dtypeOf(configuration.weights()));
        ExpertGroups regrouped =
                new ExpertGroups(
                        optimizer,
                        source,
                        holdings,
                        target,
                        source.expertRanks() == places.degree()
                                && source.ranks().pp() == target.pp()
                                && source.ranks().tp() == target.tp(),
                        configuration.roundRobin() && optimizer.kind() == Kind.STAGE_1_2);
        OptimizerGroups groups =
                new OptimizerGroups(
                        target,
                        places,
                        regrouped,
                        configuration,
                        configuration.roundRobin() && kind == Kind.STAGE_1_2);
        OptionalLong vocabulary = paddedVocabulary();
        CheckpointInfo checkpoint = new CheckpointInfo(target, job.patterns(), vocabulary);
        Optional<WholeOptimizer> whole =
                kind.whole() && !choices.weightsOnly()
                        ? Optional.of(whole(groups, configuration, kind, places))
                        : Optional.empty();
        ModelStates models =
                new ModelStates(
                        target,
                        source,
                        holdings,
                        groups,
                        experts,
                        configuration,
                        new ScriptArguments(target, places, configuration, vocabulary, onOneNode()),
                        checkpoint,
                        choices,
                        aliases(),
                        kind,
                        whole);
        OptimizerStates optimizers =
                new OptimizerStates(
                        target,
                        optimizer,
                        groups,
                        configuration,
                        checkpoint,
                        kind,
                        places,
                        sourceSubGroups());
        String prefix = prefix(configuration);
        for (int mp = 0; mp < target.mp(); mp++) {
            for (int dp = 0; dp < models.files(); dp++) {
                files.add(models.file(request.tag() + "/" + models.name(mp, dp), mp, dp));
            }
            for (int dp = 0; dp < target.dp() && !kind.whole(); dp++) {
                String name =
                        String.format(
                                Locale.ROOT,
                                "%szero_pp_rank_%d_mp_rank_%02d_optim_states.pt",
                                prefix,
                                dp,
                                mp);
                files.add(optimizers.file(request.tag() + "/" + name, mp, dp));
            }
        }
        whole.ifPresent(w -> files.addAll(w.expertFiles(request.tag())));
        if (job.stage() < 3) {
            files.addAll(experts.files(request.tag()));
        }
        files.addAll(new LayerFiles(target, source, holdings).files(request.tag()));
        if (source.layers().isEmpty() && MadeLayerFiles.isPipeline(request)) {
            MadeLayerFiles layers = new MadeLayerFiles(target, source, holdings, configuration);
            files.addAll(layers.files(request.tag()));
            layers.note().ifPresent(notes::add);
        }
        configuration.dtype().ifPresent(this::tellDtype);
        side();
        randomStates();
        return new TargetTree(files, _ -> List.of(), pointers(), losses, notes);
    }

    private void tellDtype(String dtype) {
        notes.add(
                "weights are %s, made of the fp32 masters (--dtype)".formatted(dtype)
                        + (dtype.equals("fp16")
                                ? "; the loss scale begins as its configuration says"
                                : ""));
    }

    private ExpertPlaces places(Configuration configuration) {
        if (job.mesh().stream().noneMatch(a -> a.axis().equals("ep"))) {
            return ExpertPlaces.NONE;
        }
        int divided = Math.multiplyExact(job.degree("ep"), job.degree("edp"));
        return new ExpertPlaces(
                job.degree("ep"),
                job.degree("edp"),
                configuration.expertsInBlocks(),
                divided == target.dp() ? 1 : target.tp());
    }

    private WholeOptimizer whole(
            OptimizerGroups groups, Configuration configuration, Kind kind, ExpertPlaces places) {
        if (configuration.dtype().isEmpty()) {
            refuseLostMasters(kind);
        }
        return new WholeOptimizer(
                target,
                optimizer,
                groups,
                configuration,
                kind,
                places,
                new StateTensors(optimizer, places.degree()),
                SourceFiles.dict(source.firstModel()).find("global_steps").orElse(PyInt.of(0)));
    }

    /// Where the weights are fp32, they are all that such a job has. (`--dtype fp32` makes them of
    /// the masters.)
    private void refuseLostMasters(Kind kind) {
        for (ParameterFacts p : request.parameters()) {
            DType weight = p.states().getOrDefault(Held.WEIGHT, DType.FLOAT32);
            if (kind == Kind.PLAIN && p.states().containsKey(Held.FP32) && weight.width() < 4) {
                throw new RefusedException(
                        p.name(),
                        "%s weights and fp32 masters, in a job whose configuration is fp32"
                                .formatted(weight.torchName()),
                        "a job without ZeRO that keeps masters",
                        "--zero 1");
            }
        }
    }

    private Kind kind(Configuration configuration) {
        if (choices.weightsOnly()) {
            return Kind.PLAIN;
        }
        if (job.stage() == 0) {
            return WholeOptimizer.kind(
                    optimizer, configuration, MadeLayerFiles.isPipeline(request));
        }
        if (job.stage() == 3) {
            return Kind.STAGE_3;
        }
        if (configuration.sameStage() && configuration.dtype().isEmpty()) {
            return optimizer.kind();
        }
        return configuration.wantsBf16Optimizer() ? Kind.BF16 : Kind.STAGE_1_2;
    }

    /// Where model states were made of a state whose order no one says.
    private void refuseUnknownOrder() {
        boolean unknown =
                request.carried().stream()
                        .filter(f -> f.role().equals(SourceFiles.MODEL_STATES))
                        .flatMap(f -> f.root().stream())
                        .anyMatch(r -> r.find(NamedParameters.UNKNOWN).isPresent());
        if (unknown && !choices.weightsOnly()) {
            throw NamedParameters.refusal(
                    request.parameters().stream().map(ParameterFacts::name).toList());
        }
    }

    private void refuseTrainableOutsideGroups() {
        for (ParameterFacts p : request.parameters()) {
            boolean outside = p.trainable() && !p.buffer() && p.optimizerGroup() < 0;
            if (outside && !choices.weightsOnly()) {
                throw new RefusedException(
                        p.name(),
                        "it is trained and has no optimizer group",
                        "the number of its group in `param_shapes`",
                        "say `frozen` in a spec where it is not trained; --weights-only leaves the"
                                + " optimizer");
            }
        }
    }

    /// As the source's files are called, which says whether its weights are bf16.
    private String prefix(Configuration configuration) {
        String name =
                choices.weightsOnly() || configuration.dtype().isPresent()
                        ? ""
                        : optimizer.file().path();
        int zero = name.indexOf("zero_pp_rank_");
        return zero >= 0 ? name.substring(0, zero) : configuration.enabled("bf16") ? "bf16_" : "";
    }

    /// Rows of vocabulary parameters in the target; absent where no pattern names one.
    private OptionalLong paddedVocabulary() {
        for (Pattern pattern : request.hints().patterns()) {
            if (pattern.kind() != LayoutHints.Kind.VOCABULARY) {
                continue;
            }
            for (Map.Entry<String, Shape> e : job.padded().entrySet()) {
                if (pattern.matches(e.getKey()) && e.getValue().rank() > 0) {
                    return OptionalLong.of(e.getValue().dim(0));
                }
            }
        }
        return OptionalLong.empty();
    }

    /// Alias -> the parameter it names.
    private Map<String, String> aliases() {
        Map<String, String> aliases = new HashMap<>(request.hints().aliases());
        request.parameters().forEach(p -> p.aliases().forEach(a -> aliases.put(a, p.name())));
        return aliases;
    }

    /// The source's job ran on one node as far as its files tell.
    private boolean onOneNode() {
        return source.models().stream()
                .flatMap(m -> m.root().stream())
                .allMatch(r -> r.find("args", "rank").equals(r.find("args", "local_rank")));
    }

    private List<List<String>> sourceSubGroups() {
        List<List<String>> groups = new ArrayList<>();
        for (PickleValue group :
                source.firstModel()
                        .root()
                        .flatMap(r -> r.find("param_shapes"))
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of())) {
            groups.add(
                    group.asDict().map(PyDict::entries).orElse(List.of()).stream()
                            .flatMap(e -> e.key().asText().stream())
                            .toList());
        }
        return groups;
    }

    /// Files that no rank owns, as they are; those of a trainer lie around the tag's folder.
    private void side() {
        Set<String> taken = new HashSet<>();
        files.forEach(f -> taken.add(f.path()));
        for (CarriedFile file : source.side()) {
            boolean beside = file.path().startsWith(BESIDE);
            String path =
                    beside
                            ? file.path().substring(BESIDE.length())
                            : request.tag() + "/" + file.path();
            if (POINTERS.contains(path) || !taken.add(path)) {
                continue;
            }
            if (file.file().isPresent()) {
                var bytes = file.file().get();
                files.add(
                        new TargetFile(
                                path,
                                bytes.size(),
                                bytes.size() == 0
                                        ? List.of()
                                        : List.of(
                                                new TargetFile.Part.Copied(
                                                        0, bytes, 0, bytes.size())),
                                List.of(),
                                Optional.empty()));
            } else if (file.root().isPresent()) {
                files.add(new TorchBuilder(file.storages()).file(path, file.root().get()));
            }
        }
    }

    private void randomStates() {
        boolean held = source.firstModel().root().flatMap(r -> r.find("rng_state")).isPresent();
        if (!held) {
            return;
        }
        switch (choices.rng()) {
            case KEEP -> {
                List<Integer> borrowed = new ArrayList<>();
                for (int mp = 0; mp < target.mp(); mp++) {
                    if (!source.has(target, mp)) {
                        borrowed.add(mp);
                    }
                }
                if (!borrowed.isEmpty()) {
                    notes.add(
                            "random generators of model-parallel ranks %s, which the source does"
                                            .formatted(borrowed)
                                    + " not have, begin as those of the ranks at the same place"
                                    + " modulo its degrees (--rng spread, --rng drop)");
                }
            }
            case SPREAD -> notes.add("random generators of every rank begin as the first rank's");
            case DROP ->
                    losses.add(
                            "states of random generators (--rng drop): Megatron-DeepSpeed needs"
                                    + " --no-load-rng");
        }
        int lost = source.ranks().mp() - Math.min(source.ranks().mp(), kept());
        if (lost > 0) {
            notes.add(
                    "random generators of %d model-parallel ranks of the source have no rank left"
                            .formatted(lost));
        }
    }

    private int kept() {
        return Math.min(source.ranks().pp(), target.pp())
                * Math.min(source.ranks().tp(), target.tp());
    }

    /// `latest` last: it is what commits the checkpoint.
    private List<SmallFile> pointers() {
        List<SmallFile> pointers = new ArrayList<>();
        boolean megatron =
                source.firstModel()
                        .root()
                        .filter(r -> r.find("checkpoint_version").isPresent())
                        .filter(r -> r.find("args").isPresent())
                        .isPresent();
        Optional<Long> iteration = source.number("iteration");
        if (megatron && iteration.isPresent()) {
            pointers.add(small(MEGATRON_LATEST, Long.toString(iteration.get())));
        }
        pointers.add(small(LATEST, request.tag()));
        return pointers;
    }

    private static SmallFile small(String path, String text) {
        return new SmallFile(path, text.getBytes(StandardCharsets.UTF_8));
    }
}
