package io.ucp.bind;

import io.ucp.bind.TargetLayout.Laid;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.TargetJob;
import io.ucp.lang.ast.Spec;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Layout;
import io.ucp.layout.Region;
import io.ucp.layout.Widths;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// Meets a spec with a job that has written nothing yet: what each of its ranks is to hold of every
/// parameter, before data parallelism cuts it. The rules are those of the source, or of the one
/// bundled spec that fits it; degrees and stages are the job's.
public final class TargetBinder {
    /// What a checkpoint says of itself, in whatever form it is held.
    ///
    /// @param parameters in the source's own order
    /// @param mesh of the job that wrote it
    /// @param stage ZeRO stage, -1 where it had none
    /// @param foreign another framework wrote it, whose padding is not the target's
    /// @param saved its pipeline, as that job had cut it
    public record Source(
            List<ParameterFacts> parameters,
            LayoutHints hints,
            List<AxisDegree> mesh,
            int stage,
            boolean foreign,
            SavedPipeline saved) {
        /// For the framework that wrote it, of which nothing says how it cut a pipeline.
        public Source(
                List<ParameterFacts> parameters,
                LayoutHints hints,
                List<AxisDegree> mesh,
                int stage) {
            this(parameters, hints, mesh, stage, false, SavedPipeline.NONE);
        }

        public Source {
            parameters = List.copyOf(parameters);
            mesh = List.copyOf(mesh);
        }
    }

    /// @param layout the same of a reader
    /// @param notes what was decided and a user may want to know
    public record Bound(TargetJob job, TargetLayout layout, List<String> notes) {
        public Bound {
            notes = List.copyOf(notes);
        }
    }

    private final Source source;
    private final TargetRequest request;
    private TargetDegrees degrees;
    private final boolean pipeline;
    private final List<String> notes = new ArrayList<>();

    private TargetBinder(Source source, TargetRequest request) {
        this.source = source;
        this.degrees = TargetDegrees.of(source, request);
        this.request = request.withVirtual(chunks(source, request, degrees.pp()));
        this.pipeline = PipelineModules.areNamed(source.parameters());
    }

    /// Model chunks of a stage: as many as in the source, where the stages stay.
    private static int chunks(Source source, TargetRequest request, int pp) {
        boolean stays = pp == TargetDegrees.degree(source, "pp", OptionalInt.empty());
        long before = source.hints().numbers().getOrDefault("vpp", 1L);
        boolean kept = request.framework() == TargetRequest.Framework.MEGATRON && stays;
        return request.virtual().orElse(kept ? Math.toIntExact(before) : 1);
    }

    /// What each rank of the job holds.
    ///
    /// @param spec that describes the source; absent where nothing does
    /// @param named whether the user named that spec: then no bundled one takes its place
    /// @param settings from `--set name=value`
    /// @throws ImpossibleLayoutException for degrees that the model cannot have
    /// @throws io.ucp.formats.RefusedException where no rule says how tensor-parallel ranks share a
    ///   parameter
    /// @throws io.ucp.lang.diagnostic.SpecException where a rule cannot be evaluated
    public static Bound bind(
            Source source,
            Optional<Spec> spec,
            boolean named,
            TargetRequest request,
            Map<String, Long> settings) {
        return new TargetBinder(source, request).bind(spec, named, settings);
    }

    private Bound bind(Optional<Spec> spec, boolean named, Map<String, Long> settings) {
        checkFramework();
        TargetCuts found = TargetCuts.of(source, spec, named, degrees, request, settings, pipeline);
        notes.addAll(found.notes());
        Mesh mesh = found.mesh();
        if (!isMegatron()) {
            degrees = degrees.dividedByExperts(degrees.tp() > 1 && areExpertsWhole(found));
            checkNumberedExperts(found);
        }
        checkFusedExperts(found);
        checkHeads(found);
        Map<String, Set<Integer>> stages = stages(found);
        Map<String, List<RankShard>> shards = new LinkedHashMap<>();
        Map<String, Shape> padded = new LinkedHashMap<>();
        TargetLayout layout = new TargetLayout(mesh);
        Impossible impossible = new Impossible();
        Map<LocalName, String> names = new HashMap<>();
        for (ParameterFacts facts : source.parameters()) {
            TargetCuts.Cut cut = found.of(facts);
            try {
                Shape whole = padded(facts, cut.padding());
                Chain chain = staged(facts, cut.chain(), stages);
                Laid laid = new Laid(facts, whole, chain, cut.localName());
                List<RankShard> own = shards(layout, laid);
                own.forEach(shard -> checkName(facts.name(), shard, names));
                shards.put(facts.name(), own);
                layout.add(laid);
                padded.put(facts.name(), whole);
            } catch (ImpossibleLayoutException e) {
                impossible.add(facts.name(), e);
            }
        }
        impossible.throwIfAny(source.parameters().size());
        checkStages(shards);
        return new Bound(
                new TargetJob(
                        degrees.axes(),
                        degrees.stage(),
                        Collections.unmodifiableMap(shards),
                        Collections.unmodifiableMap(padded),
                        isMegatron() ? List.of() : TargetPatterns.of(source, found, degrees),
                        request.virtual().orElse(1)),
                layout,
                notes);
    }

    /// A name in the files of the ranks at a place.
    private record LocalName(String name, Coordinate at) {}

    /// No two parameters may have one name there, where names are counted per rank.
    private static void checkName(String name, RankShard shard, Map<LocalName, String> names) {
        String other = names.putIfAbsent(new LocalName(shard.localName(), shard.at()), name);
        if (other != null) {
            throw new ImpossibleLayoutException(
                    "'%s' and '%s' under the name '%s' at %s"
                            .formatted(other, name, shard.localName(), shard.at()),
                    "a name for each parameter of a rank");
        }
    }

    /// Sources: DeepSpeed `runtime/pipe/engine.py`, `runtime/engine.py`.
    private void checkFramework() {
        if (isMegatron()) {
            checkChunks();
            return;
        }
        if (pipeline && degrees.stage() > 1) {
            throw new ImpossibleLayoutException(
                    "ZeRO stage %d of a pipeline's modules".formatted(degrees.stage()),
                    "stage 0 or 1: DeepSpeed's pipeline engine takes no other\nhint: add --zero 1");
        }
    }

    /// DeepSpeed-MoE numbers its experts; AutoEP, which alone knows stage 3, has those of a layer
    /// in one parameter.
    private void checkNumberedExperts(TargetCuts cuts) {
        boolean numbered =
                cuts.byName().values().stream()
                        .flatMap(c -> c.chain().steps().stream())
                        .anyMatch(
                                s -> s.axis().equals("ep") && s.layout() instanceof Layout.Placed);
        if (numbered && degrees.stage() > 2) {
            throw new ImpossibleLayoutException(
                    "ZeRO stage %d of a model with experts".formatted(degrees.stage()),
                    "stage 0 to 2: DeepSpeed-MoE takes no other\nhint: add --zero 2");
        }
    }

    /// All experts of a layer in one parameter: its extent is their number.
    private void checkFusedExperts(TargetCuts cuts) {
        for (ParameterFacts p : source.parameters()) {
            for (Step step : cuts.of(p).chain().steps()) {
                if (step.axis().equals("ep")
                        && step.layout() instanceof Layout.Sharded(int dim, var widths)
                        && widths == Widths.Rule.EVEN
                        && dim < p.shape().rank()) {
                    TargetMembers.checkExperts(p.shape().dim(dim), degrees.degree("ep"), "ep");
                }
            }
        }
    }

    private boolean isMegatron() {
        return request.framework() == TargetRequest.Framework.MEGATRON;
    }

    /// Source: Megatron-LM `training/arguments.py`.
    private void checkChunks() {
        if (request.virtual().orElse(1) > 1 && degrees.pp() == 1) {
            throw new ImpossibleLayoutException(
                    "%d model chunks of one pipeline stage".formatted(request.virtual().getAsInt()),
                    "chunks of pp 2 or more");
        }
    }

    /// Whether no tensor-parallel rank holds a part of an expert only: DeepSpeed then divides
    /// experts over the tensor-parallel ranks too. Source: DeepSpeed `moe/layer.py`
    /// (`_create_process_groups`).
    private boolean areExpertsWhole(TargetCuts cuts) {
        return degrees.experts()
                && cuts.byName().values().stream()
                        .map(c -> c.chain().steps())
                        .filter(
                                steps ->
                                        steps.stream()
                                                .anyMatch(
                                                        s ->
                                                                s.axis().equals("ep")
                                                                        && !(s.layout()
                                                                                instanceof
                                                                                Layout.Replicated)))
                        .flatMap(List::stream)
                        .filter(s -> s.axis().equals("tp"))
                        .allMatch(s -> s.layout() instanceof Layout.Replicated);
    }

    /// Every tensor-parallel rank has whole heads, unless the spec gives widths of its own. Source:
    /// Megatron-DeepSpeed `core/transformer/attention.py`.
    private void checkHeads(TargetCuts cuts) {
        Map<String, Long> numbers = source.hints().numbers();
        Long heads = numbers.get("heads");
        if (degrees.tp() == 1 || heads == null || cuts.anyUneven()) {
            return;
        }
        long groups = numbers.getOrDefault("kv_heads", heads);
        // Ranks that are a multiple of the groups share one: Megatron-Core cuts inside it.
        boolean shared = isMegatron() && degrees.tp() % groups == 0;
        if (heads % degrees.tp() != 0 || (groups % degrees.tp() != 0 && !shared)) {
            throw new ImpossibleLayoutException(
                    "tp %d over %d attention heads%s"
                            .formatted(
                                    degrees.tp(),
                                    heads,
                                    groups == heads
                                            ? ""
                                            : " with %d key-value heads".formatted(groups)),
                    "equally many on every rank: tp %s".formatted(Divisors.of(heads, groups)));
        }
    }

    /// The stages of each parameter, where names say them: cut as the user says, else as a rule
    /// does, else as the framework would.
    private Map<String, Set<Integer>> stages(TargetCuts cuts) {
        Map<String, Set<Integer>> stages = new LinkedHashMap<>();
        if (!pipeline) {
            return stages;
        }
        PipelineModules modules = PipelineModules.of(source.parameters());
        int before = TargetDegrees.degree(source, "pp", OptionalInt.empty());
        PipelineCut cut =
                PipelineCut.of(
                        modules,
                        source.saved(),
                        before,
                        degrees.pp(),
                        request,
                        request.partition().isPresent()
                                ? Optional.empty()
                                : said(modules, cuts.stages()));
        cut.note().ifPresent(notes::add);
        source.parameters()
                .forEach(p -> stages.put(p.name(), modules.stages(p.name(), cut.parts())));
        return stages;
    }

    /// Layers of each stage by a rule, where it counts the layers of the pipeline.
    private Optional<List<Integer>> said(PipelineModules modules, Optional<List<Integer>> counts) {
        int sum = counts.stream().flatMap(List::stream).mapToInt(Integer::intValue).sum();
        if (counts.isPresent() && sum != modules.layers()) {
            notes.add(
                    "stages %s of the spec count %d members, and the pipeline has %d layers: it is cut as DeepSpeed would"
                            .formatted(counts.get(), sum, modules.layers()));
            return Optional.empty();
        }
        return counts;
    }

    private Chain staged(ParameterFacts facts, Chain chain, Map<String, Set<Integer>> stages) {
        List<Step> steps = new ArrayList<>(chain.steps());
        if (pipeline) {
            steps.add(
                    new Step(
                            "pp", new Layout.Placed(stages.getOrDefault(facts.name(), Set.of(0)))));
        } else if (degrees.pp() > 1 && !chain.axes().contains("pp")) {
            throw new ImpossibleLayoutException(
                    "pp %d of a model that is no pipeline by its names".formatted(degrees.pp()),
                    "pp 1, or a spec with rules over pp");
        }
        return new Chain(steps);
    }

    /// The whole shape in the target.
    private Shape padded(ParameterFacts facts, List<Reading.Padding> padding) {
        if (padding.isEmpty()) {
            return source.foreign() ? facts.realShape() : facts.shape();
        }
        Shape whole = facts.realShape();
        for (Reading.Padding p : padding) {
            if (p.dim() >= whole.rank()) {
                throw new ImpossibleLayoutException(
                        "padding of dimension %d".formatted(p.dim()),
                        "one of the %d dimensions".formatted(whole.rank()));
            }
            List<Long> extents = new ArrayList<>(Arrays.stream(whole.dims()).boxed().toList());
            extents.set(p.dim(), p.padded(extents.get(p.dim())));
            whole = Extents.shape(extents);
        }
        return whole;
    }

    private List<RankShard> shards(TargetLayout layout, Laid laid) {
        ParameterFacts facts = laid.facts();
        boolean kept =
                laid.whole().equals(facts.shape())
                        && (!facts.padded()
                                || request.vocabulary() == TargetRequest.VocabularyPadding.KEEP);
        List<RankShard> shards = new ArrayList<>();
        for (TargetLayout.Place place : layout.places(laid)) {
            Region region = place.held().region();
            Region real = kept ? region : real(region, facts);
            shards.add(
                    new RankShard(
                            laid.localName(),
                            place.at(),
                            place.held().shape(),
                            real.pieces(),
                            real.shape().count()));
        }
        return shards;
    }

    private static Region real(Region region, ParameterFacts facts) {
        return region.within(facts.realShape(), facts.shape())
                .orElseThrow(
                        () ->
                                new ImpossibleLayoutException(
                                        "padding anew from %s to %s"
                                                .formatted(facts.realShape(), region.grid()),
                                        "padding of the outermost dimension, cut in blocks"));
    }

    /// DeepSpeed makes an optimizer on every rank, which needs a parameter.
    private void checkStages(Map<String, List<RankShard>> shards) {
        Set<Integer> held = new java.util.TreeSet<>();
        for (ParameterFacts p : source.parameters()) {
            if (p.trainable()) {
                shards.getOrDefault(p.name(), List.of()).forEach(s -> held.add(s.at().on("pp")));
            }
        }
        for (int stage = 0; stage < degrees.pp(); stage++) {
            if (!held.isEmpty() && !held.contains(stage)) {
                throw new ImpossibleLayoutException(
                        "stage %d of pp %d holds no trainable parameter"
                                .formatted(stage, degrees.pp()),
                        "one or more on every stage\n"
                                + "hint: give the layers of each stage, --stages N,N,..");
            }
        }
    }

    /// What cannot be laid out, of all parameters.
    private static final class Impossible {
        private final Map<String, List<String>> names = new LinkedHashMap<>();

        void add(String name, ImpossibleLayoutException e) {
            names.computeIfAbsent(e.problem(), _ -> new ArrayList<>()).add(name);
        }

        /// @param parameters of the model; what is true of all of them needs no names
        void throwIfAny(int parameters) {
            if (names.isEmpty()) {
                return;
            }
            var first = names.entrySet().iterator().next();
            int at = first.getKey().indexOf("; expected ");
            String of =
                    first.getValue().size() == parameters
                            ? ""
                            : Listing.of(first.getValue()) + ": ";
            throw new ImpossibleLayoutException(
                    of + first.getKey().substring(0, at),
                    first.getKey().substring(at + "; expected ".length()));
        }
    }
}
