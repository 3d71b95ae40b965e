package io.ucp.convert;

import io.ucp.bind.ModelFamilies;
import io.ucp.bind.PipelineModules;
import io.ucp.bind.Sharding;
import io.ucp.bind.SpecLibrary;
import io.ucp.bind.TargetBinder;
import io.ucp.bind.TargetRequest;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Origin;
import io.ucp.formats.RefusedException;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.TargetJob;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/// The job that a request asks for, over what its source holds.
final class TargetJobs {
    private TargetJobs() {}

    /// @param same whether the source is what a job of this layout would have written
    record Asked(TargetBinder.Bound bound, boolean same) {}

    /// @return nothing for targets that hold every parameter whole
    static Optional<Asked> of(Request request, Described described, TargetNames names)
            throws IOException {
        if (request.target().isEmpty()) {
            return Optional.empty();
        }
        TargetBinder.Source source = source(described, names);
        Optional<Spec> spec = spec(request, described, names);
        TargetRequest asked = request.target().get();
        if (request.targetSpec().isPresent()) {
            asked =
                    asked.completed(
                            spec.orElseThrow(), request.settings(), source.hints().numbers());
        }
        TargetBinder.Bound bound =
                TargetBinder.bind(
                        familiar(source, described, names, asked),
                        spec,
                        isNamed(request),
                        asked,
                        request.settings());
        boolean same =
                described.isHeld(names.inventory())
                        && isSame(request, described, source, bound.job());
        return Optional.of(new Asked(bound, same));
    }

    private static boolean isSame(
            Request request, Described described, TargetBinder.Source source, TargetJob job) {
        TargetRequest asked = request.target().orElseThrow();
        return described.source().index().format().equals(request.to())
                && request.options().isEmpty()
                && asked.vocabulary() == TargetRequest.VocabularyPadding.KEEP
                && job.stage() == source.stage()
                && job.virtual() == source.hints().numbers().getOrDefault("vpp", 1L)
                && Set.copyOf(job.mesh()).equals(Set.copyOf(source.mesh()))
                && described.sharding().map(s -> isUnchanged(s) && isHeldAs(s, job)).orElse(true);
    }

    /// Every rank is to hold what it holds.
    private static boolean isHeldAs(Sharding sharding, TargetJob job) {
        return sharding.parameters().stream()
                .allMatch(
                        p ->
                                p.shards().stream()
                                        .map(s -> new Held(s.localName(), s.at(), s.shape()))
                                        .collect(Collectors.toSet())
                                        .equals(held(job, p.name())));
    }

    /// Part of a parameter, by where it is: the rules that cut it are the same ones.
    private record Held(String localName, Map<String, Integer> at, Shape shape) {
        Held(String localName, Coordinate at, Shape shape) {
            this(localName, new HashMap<>(at.indices()), shape);
            this.at.values().removeIf(index -> index == 0);
            this.at.remove("edp");
        }
    }

    private static Set<Held> held(TargetJob job, String parameter) {
        return job.shards().getOrDefault(parameter, List.of()).stream()
                .filter(s -> s.real() == s.shape().count())
                .map(s -> new Held(s.localName(), s.at(), s.shape()))
                .collect(Collectors.toSet());
    }

    /// DeepSpeed has none of the axes of another framework's experts and contexts, and no pipeline
    /// of a model whose names are no pipeline's; a model of transformers' is not cut unless asked.
    private static TargetBinder.Source familiar(
            TargetBinder.Source source,
            Described described,
            TargetNames names,
            TargetRequest asked) {
        boolean deepspeed = described.source().index().origin().format().startsWith("deepspeed");
        boolean renamed = !described.isHeld(names.inventory());
        boolean own = deepspeed && !renamed;
        if (own || asked.framework() != TargetRequest.Framework.DEEPSPEED) {
            return source;
        }
        boolean pipeline = PipelineModules.areNamed(source.parameters());
        Set<String> axes = new HashSet<>(Set.of("dp"));
        if (names.spec().isPresent() || !ModelFamilies.isHuggingFace(source.parameters())) {
            axes.add("tp");
        }
        if (pipeline) {
            axes.add("pp");
        }
        if (deepspeed) {
            axes.add("ep");
            axes.add("edp");
        }
        return new TargetBinder.Source(
                source.parameters(),
                source.hints(),
                source.mesh().stream().filter(a -> axes.contains(a.axis())).toList(),
                source.stage(),
                !deepspeed,
                source.saved());
    }

    /// The spec leaves nothing out and casts nothing.
    private static boolean isUnchanged(Sharding sharding) {
        return sharding.dropped().isEmpty()
                && sharding.parameters().stream().allMatch(p -> p.casts().isEmpty());
    }

    /// Whatever the form, by the job that wrote the state first.
    static TargetBinder.Source source(Described described, TargetNames names) {
        CheckpointIndex index = described.source().index();
        Optional<Sharding> sharding = described.sharding();
        Origin origin = index.origin();
        List<AxisDegree> mesh = sharding.isPresent() ? index.mesh() : origin.mesh();
        return new TargetBinder.Source(
                SourceNames.facts(names.inventory()),
                names.hints(),
                mesh,
                sharding.isPresent() ? index.stage() : origin.stage(),
                false,
                saved(origin.format(), names));
    }

    /// By the files of the job that wrote the state first, whatever form it has by now.
    private static SavedPipeline saved(String framework, TargetNames names) {
        return CheckpointFormat.all().stream()
                .filter(f -> f.name().equals(framework))
                .map(f -> f.pipeline(names.inventory().carried()))
                .findFirst()
                .orElse(SavedPipeline.NONE);
    }

    /// The one named, else the one that the source was read by or remembers. Under other names only
    /// one that is named for them.
    static Optional<Spec> spec(Request request, Described described, TargetNames names)
            throws IOException {
        if (names.spec().isPresent() || !described.isHeld(names.inventory())) {
            return names.spec();
        }
        boolean whole = described.sharding().isEmpty();
        if (whole && request.spec().isPresent()) {
            return Optional.of(SpecSource.named(request.spec().get()).spec());
        }
        return described.specText().isBlank()
                ? Optional.empty()
                : Optional.of(remembered(request, described, whole));
    }

    /// Whether the user named the spec that says how the target is cut.
    static boolean isNamed(Request request) {
        return request.spec().isPresent() || request.targetSpec().isPresent();
    }

    /// @throws RefusedException where the state has other names by now than that spec has
    private static Spec remembered(Request request, Described described, boolean whole) {
        Spec spec =
                Ucl.parse(
                        SourceText.of(
                                whole ? "the source's spec" : described.specName(),
                                described.specText()),
                        SpecLibrary.imports());
        if (whole && !spec.renames().isEmpty()) {
            throw new RefusedException(
                    request.to(),
                    "a state that was renamed by the spec of the job that wrote it",
                    "a spec of a job that has these names",
                    "write it and name it: --spec FILE");
        }
        return spec;
    }
}
