package io.ucp.bind;

import io.ucp.lang.ast.Spec;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

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

    /// A job of DeepSpeed.
    public TargetRequest(
            OptionalInt tp,
            OptionalInt pp,
            OptionalInt dp,
            OptionalInt ep,
            OptionalInt stage,
            Optional<List<Integer>> stages,
            Optional<String> partition,
            VocabularyPadding vocabulary) {
        this(
                tp,
                pp,
                dp,
                ep,
                stage,
                stages,
                partition,
                vocabulary,
                Framework.DEEPSPEED,
                OptionalInt.empty(),
                OptionalInt.empty());
    }

    /// The source's own layout.
    public static final TargetRequest SAME =
            new TargetRequest(
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    OptionalInt.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    VocabularyPadding.KEEP);

    public TargetRequest {
        stages = stages.map(List::copyOf);
    }

    /// With as many model chunks a stage.
    TargetRequest chunked(int chunks) {
        return new TargetRequest(
                tp,
                pp,
                dp,
                ep,
                stage,
                stages,
                partition,
                vocabulary,
                framework,
                OptionalInt.of(chunks),
                etp);
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
}
