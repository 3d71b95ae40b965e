package io.ucp.bind;

import io.ucp.lang.ast.Spec;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;

/// The layout that a user asks for. What is absent stays as in the source.
///
/// @param stage ZeRO stage
/// @param stages layers of each pipeline stage, in order; absent for what the framework does
/// @param partition how the framework cuts a pipeline: `type:REGEX`, `uniform` or `parameters`;
///   absent for the source's own stages where they are as many, else for its own method, or
///   `type:transformer`
/// @param vocabulary what becomes of padding rows
/// @param framework that is to load it
/// @param virtual model chunks of each stage
/// @param etp ranks that share an expert; those of `tp` where nothing else is said
public record TargetRequest(
        OptionalInt tp,
        OptionalInt pp,
        OptionalInt dp,
        OptionalInt ep,
        OptionalInt stage,
        Optional<List<Integer>> stages,
        Optional<String> partition,
        VocabularyPadding vocabulary,
        Framework framework,
        OptionalInt virtual,
        OptionalInt etp) {
    /// Whose ranks share a model in its way.
    public enum Framework {
        DEEPSPEED,
        MEGATRON
    }

    /// The source's own layout, of a job of DeepSpeed.
    public static final TargetRequest SAME =
            new TargetRequest(
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    VocabularyPadding.KEEP,
                    Framework.DEEPSPEED,
                    OptionalInt.empty(),
                    OptionalInt.empty());

    public TargetRequest {
        stages = stages.map(List::copyOf);
    }

    public TargetRequest withTp(int changed) {
        return with(draft -> draft.tp = OptionalInt.of(changed));
    }

    public TargetRequest withPp(int changed) {
        return with(draft -> draft.pp = OptionalInt.of(changed));
    }

    public TargetRequest withDp(int changed) {
        return with(draft -> draft.dp = OptionalInt.of(changed));
    }

    public TargetRequest withEp(int changed) {
        return with(draft -> draft.ep = OptionalInt.of(changed));
    }

    /// @param changed ZeRO stage
    public TargetRequest withStage(int changed) {
        return with(draft -> draft.stage = OptionalInt.of(changed));
    }

    /// @param changed layers of each pipeline stage, in order
    public TargetRequest withStages(List<Integer> changed) {
        return with(draft -> draft.stages = Optional.of(changed));
    }

    public TargetRequest withPartition(String changed) {
        return with(draft -> draft.partition = Optional.of(changed));
    }

    public TargetRequest withVocabulary(VocabularyPadding changed) {
        return with(draft -> draft.vocabulary = changed);
    }

    public TargetRequest withFramework(Framework changed) {
        return with(draft -> draft.framework = changed);
    }

    /// @param changed model chunks of each pipeline stage
    public TargetRequest withVirtual(int changed) {
        return with(draft -> draft.virtual = OptionalInt.of(changed));
    }

    public TargetRequest withEtp(int changed) {
        return with(draft -> draft.etp = OptionalInt.of(changed));
    }

    /// With the degrees that the mesh of the target's own spec gives and no option does.
    ///
    /// @param hints numbers that the source knows
    /// @throws io.ucp.lang.diagnostic.SpecException where it gives others than the options
    public TargetRequest completed(Spec spec, Map<String, Long> settings, Map<String, Long> hints) {
        return SaidDegrees.in(this, spec, settings, hints);
    }

    /// What becomes of the rows that pad a vocabulary.
    public enum VocabularyPadding {
        /// They are kept where the target has as many of them, else made anew as zeros.
        KEEP,
        /// They are made anew as zeros, as DeepSpeed does when it loads a universal checkpoint.
        ZERO
    }

    private TargetRequest with(Consumer<Draft> change) {
        Draft draft = new Draft(this);
        change.accept(draft);
        return draft.done();
    }

    /// The same, to be changed.
    private static final class Draft {
        private OptionalInt tp;
        private OptionalInt pp;
        private OptionalInt dp;
        private OptionalInt ep;
        private OptionalInt stage;
        private Optional<List<Integer>> stages;
        private Optional<String> partition;
        private VocabularyPadding vocabulary;
        private Framework framework;
        private OptionalInt virtual;
        private OptionalInt etp;

        Draft(TargetRequest of) {
            this.tp = of.tp;
            this.pp = of.pp;
            this.dp = of.dp;
            this.ep = of.ep;
            this.stage = of.stage;
            this.stages = of.stages;
            this.partition = of.partition;
            this.vocabulary = of.vocabulary;
            this.framework = of.framework;
            this.virtual = of.virtual;
            this.etp = of.etp;
        }

        TargetRequest done() {
            return new TargetRequest(
                    tp, pp, dp, ep, stage, stages, partition, vocabulary, framework, virtual, etp);
        }
    }
}
