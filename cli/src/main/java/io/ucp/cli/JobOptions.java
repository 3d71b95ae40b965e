package io.ucp.cli;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.VocabularyPadding;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// The job that is to load a rank-sharded checkpoint. Options that are not given leave things as
/// they are in the source.
final class JobOptions {
    /// The formats that these are for.
    private static final String DEEPSPEED = "deepspeed";

    private static final String MEGATRON = "megatron";
    private static final String MEGATRON_DIST = "megatron-dist";

    /// Formats that hold every parameter whole in pieces for a job of these degrees, which only
    /// makes loading by such a job cheap: any other loads them too.
    private static final Map<String, Set<String>> IN_PIECES = Map.of("dcp", Set.of("--dp", "--tp"));

    /// What becomes of states of random generators.
    enum Rng {
        /// Every rank has its own.
        keep,
        /// Every rank has the first one's.
        spread,
        /// No rank has any.
        drop
    }

    /// Of the model's weights.
    enum Precision {
        bf16,
        fp16,
        fp32
    }

    /// Rows past the real vocabulary.
    enum Padding {
        keep,
        zero
    }

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--gpus",
            paramLabel = "N",
            description =
                    "Ranks of the job, in the layout that `ucp layouts` lists first; instead of"
                            + " degrees.")
    private Optional<Integer> gpus = Optional.empty();

    @Option(names = "--tp", paramLabel = "N", description = "Tensor-parallel ranks of the job.")
    private Optional<Integer> tp = Optional.empty();

    @Option(names = "--pp", paramLabel = "N", description = "Pipeline stages of the job.")
    private Optional<Integer> pp = Optional.empty();

    @Option(names = "--dp", paramLabel = "N", description = "Data-parallel ranks of the job.")
    private Optional<Integer> dp = Optional.empty();

    @Option(
            names = "--ep",
            paramLabel = "N",
            description = "Expert-parallel ranks of the job; they are among those of dp.")
    private Optional<Integer> ep = Optional.empty();

    @Option(
            names = "--etp",
            paramLabel = "N",
            description =
                    "Ranks that share an expert, for megatron; those of tp if not given, unless"
                            + " the source has others.")
    private Optional<Integer> etp = Optional.empty();

    @Option(
            names = "--vpp",
            paramLabel = "N",
            description =
                    "Model chunks of each pipeline stage, interleaved, for megatron; as many as in"
                            + " the source if pp stays, else one.")
    private Optional<Integer> vpp = Optional.empty();

    @Option(names = "--zero", paramLabel = "STAGE", description = "ZeRO stage of the job: 0 to 3.")
    private Optional<Integer> zero = Optional.empty();

    @Option(
            names = "--stages",
            paramLabel = "N,N,..",
            split = ",",
            description = "Layers of each pipeline stage; what the framework does if not given.")
    private List<Integer> stages = List.of();

    @Option(
            names = "--partition",
            paramLabel = "METHOD",
            description =
                    "How DeepSpeed cuts the pipeline: type:REGEX, uniform or parameters;"
                            + " if not given, its stages stay where they are as many, else the"
                            + " source's own method, or type:transformer.")
    private Optional<String> partition = Optional.empty();

    @Option(
            names = "--vocab-padding",
            paramLabel = "WHAT",
            description =
                    "Rows past the vocabulary: ${COMPLETION-CANDIDATES}. They are kept, if there"
                            + " are to be as many, or else made anew as zeros.")
    private Optional<Padding> vocabulary = Optional.empty();

    @Option(
            names = "--dtype",
            paramLabel = "DTYPE",
            description = "Of the model's weights: ${COMPLETION-CANDIDATES}.")
    private Optional<Precision> dtype = Optional.empty();

    @Option(
            names = "--global-batch",
            paramLabel = "N",
            description = "Samples a step; as many as in the source if not given.")
    private Optional<Long> globalBatch = Optional.empty();

    @Option(
            names = "--rng",
            paramLabel = "WHAT",
            description =
                    "States of random generators: ${COMPLETION-CANDIDATES}. Kept where a rank has"
                            + " one, spread from the first rank, or dropped.")
    private Optional<Rng> rng = Optional.empty();

    /// The job, where the format is for one.
    Optional<TargetRequest> job(String format) {
        boolean megatron = format.equals(MEGATRON) || format.equals(MEGATRON_DIST);
        if (!megatron && !format.equals(DEEPSPEED)) {
            Map<String, Boolean> given = given();
            IN_PIECES.getOrDefault(format, Set.of()).forEach(given::remove);
            refuse(
                    given,
                    "%s, %s or %s".formatted(DEEPSPEED, MEGATRON, MEGATRON_DIST),
                    "other formats hold every parameter whole, for any job");
            return Optional.empty();
        }
        String other = megatron ? DEEPSPEED : MEGATRON;
        Map<String, Boolean> foreign = megatron ? ofDeepSpeed() : ofMegatron();
        if (megatron) {
            foreign.put("--gpus", gpus.isPresent());
            foreign.put("--dtype", dtype.isPresent());
        }
        refuse(foreign, other, "%s has no such".formatted(format));
        return Optional.of(
                new TargetRequest(
                        degree("--tp", tp),
                        degree("--pp", pp),
                        degree("--dp", dp),
                        degree("--ep", ep),
                        number("--zero", zero, 0, 3),
                        stages.isEmpty() ? Optional.empty() : Optional.of(stages),
                        partition,
                        vocabulary.orElse(Padding.keep) == Padding.keep
                                ? VocabularyPadding.KEEP
                                : VocabularyPadding.ZERO,
                        megatron
                                ? TargetRequest.Framework.MEGATRON
                                : TargetRequest.Framework.DEEPSPEED,
                        degree("--vpp", vpp),
                        degree("--etp", etp)));
    }

    /// Ranks of a job whose degrees are to be found.
    OptionalInt gpus() {
        if (gpus.isPresent()
                && (tp.isPresent()
                        || pp.isPresent()
                        || dp.isPresent()
                        || ep.isPresent()
                        || zero.isPresent()
                        || !stages.isEmpty()
                        || partition.isPresent())) {
            throw usage("--gpus finds the degrees; expected it without degrees and stages");
        }
        return degree("--gpus", gpus);
    }

    /// What the format itself decides by.
    Map<String, String> options(String format) {
        Map<String, String> options = new LinkedHashMap<>();
        if (IN_PIECES.containsKey(format)) {
            degree("--dp", dp).ifPresent(n -> options.put("dp", Integer.toString(n)));
            degree("--tp", tp).ifPresent(n -> options.put("tp", Integer.toString(n)));
        }
        dtype.ifPresent(d -> options.put("dtype", d.name()));
        globalBatch.ifPresent(
                n -> {
                    if (n < 1) {
                        throw usage("--global-batch is %d; expected 1 or more".formatted(n));
                    }
                    options.put("global-batch", Long.toString(n));
                });
        rng.ifPresent(r -> options.put("rng", r.name().toLowerCase(Locale.ROOT)));
        return options;
    }

    private OptionalInt degree(String name, Optional<Integer> given) {
        return number(name, given, 1, 1 << 20);
    }

    private OptionalInt number(String name, Optional<Integer> given, int least, int most) {
        if (given.isEmpty()) {
            return OptionalInt.empty();
        }
        int n = given.get();
        if (n < least || n > most) {
            throw usage("%s is %d; expected %d to %d".formatted(name, n, least, most));
        }
        return OptionalInt.of(n);
    }

    private Map<String, Boolean> ofDeepSpeed() {
        Map<String, Boolean> given = new LinkedHashMap<>();
        given.put("--zero", zero.isPresent());
        given.put("--partition", partition.isPresent());
        given.put("--global-batch", globalBatch.isPresent());
        return given;
    }

    private Map<String, Boolean> ofMegatron() {
        Map<String, Boolean> given = new LinkedHashMap<>();
        given.put("--etp", etp.isPresent());
        given.put("--vpp", vpp.isPresent());
        return given;
    }

    private Map<String, Boolean> given() {
        Map<String, Boolean> given = new LinkedHashMap<>();
        given.put("--gpus", gpus.isPresent());
        given.put("--tp", tp.isPresent());
        given.put("--pp", pp.isPresent());
        given.put("--dp", dp.isPresent());
        given.put("--ep", ep.isPresent());
        given.put("--stages", !stages.isEmpty());
        given.put("--vocab-padding", vocabulary.isPresent());
        given.put("--rng", rng.isPresent());
        given.putAll(ofDeepSpeed());
        given.putAll(ofMegatron());
        return given;
    }

    private void refuse(Map<String, Boolean> given, String formats, String why) {
        given.forEach(
                (name, is) -> {
                    if (is) {
                        throw usage(
                                "%s is of a job; expected it with --to %s only: %s"
                                        .formatted(name, formats, why));
                    }
                });
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
