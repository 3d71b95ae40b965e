package io.ucp.convert;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;
import io.ucp.execute.Progress;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Ways from a folder of a model through frameworks and back to one, as the rules of its family
/// allow.
final class FamilyWays {
    /// A target on the way.
    ///
    /// @param from the spec of what is read; empty for what it says itself
    /// @param spec of the target's names; empty for those that the format takes
    record Stop(String to, String from, String spec, Optional<TargetRequest> job, Names names) {
        Stop readBy(String source) {
            return new Stop(to, source, spec, job, Names.HF);
        }

        Stop under(String target) {
            return new Stop(to, from, target, job, Names.AUTO);
        }

        @Override
        public String toString() {
            return spec.isEmpty() ? to : to + " by " + spec;
        }
    }

    /// Under Hugging Face's names.
    static final Stop DCP = new Stop("dcp", "", "", Optional.empty(), Names.HF);

    private static final Stop BACK = new Stop("safetensors", "", "", Optional.empty(), Names.AUTO);

    private FamilyWays() {}

    private static TargetRequest job(Framework framework, int tp, int pp) {
        return TargetRequest.SAME.withFramework(framework).withTp(tp).withPp(pp);
    }

    private static Stop megatron(String to, int tp, int pp, int ep) {
        TargetRequest job = job(Framework.MEGATRON, tp, pp);
        return new Stop(
                to, "", "", Optional.of(ep > 1 ? job.withDp(ep).withEp(ep) : job), Names.AUTO);
    }

    /// Stages of one rank each, which has all experts.
    private static Stop alone(int pp) {
        TargetRequest job = job(Framework.MEGATRON, 1, pp).withDp(1).withEp(1);
        return new Stop("megatron", "", "", Optional.of(job), Names.AUTO);
    }

    /// @param spec of its names, else Hugging Face's
    private static Stop deepspeed(String spec, int tp, int pp) {
        Names names = spec.isEmpty() ? Names.HF : Names.AUTO;
        return new Stop(
                "deepspeed",
                "",
                spec,
                Optional.of(job(Framework.DEEPSPEED, tp, pp).withDp(2).withStage(1)),
                names);
    }

    /// Modules that layers of a pipeline share are made by no one.
    private static Stop ofDeepSpeed(String family) {
        return switch (family) {
            case "megatron_deepspeed_gpt", "megatron_deepspeed_bloom" ->
                    new Stop("universal", "", family, Optional.empty(), Names.AUTO);
            case "megatron_deepspeed_gpt_language_model" -> deepspeed(family, 2, 1);
            default -> deepspeed(family, 2, 2);
        };
    }

    /// By a family that is named.
    static List<List<Stop>> of(String family) {
        if (family.equals("meta_llama")) {
            return List.of(List.of(new Stop("dcp", "", family, Optional.empty(), Names.AUTO)));
        }
        if (family.startsWith(
                "megatron_legacy")) { // which is read alone, by the version that is named
            return List.of(
                    List.of(
                            new Stop("universal", "", family, Optional.empty(), Names.AUTO),
                            DCP.readBy(family)));
        }
        if (!family.startsWith("megatron_core")) {
            return List.of(List.of(ofDeepSpeed(family), DCP));
        }
        int ep = family.contains("moe") || family.contains("mixtral") ? 2 : 1;
        if (family.matches(".*_(in_memory|transformers5)")) {
            Stop named = DCP.readBy(family);
            return List.of(
                    List.of(megatron("megatron", 2, 2, ep).under(family), named),
                    List.of(megatron("megatron-dist", 2, 1, ep).under(family), named));
        }
        List<Stop> legacy =
                List.of(megatron("megatron", 2, 2, ep).under(family), deepspeed("", 1, 1), DCP);
        if (family.endsWith("_legacy_grouped")) { // which sharded checkpoints do not have
            return List.of(
                    legacy,
                    List.of(
                            megatron("megatron", 2, 1, 4).under(family),
                            alone(2),
                            megatron("megatron", 2, 1, 2),
                            megatron("megatron-dist", 1, 1, 2)
                                    .under(family.replace("_legacy_grouped", ""))));
        }
        return List.of(legacy, List.of(megatron("megatron-dist", 2, 1, ep).under(family)));
    }

    /// Goes a way and back.
    ///
    /// @param folder for what is written on the way
    static Path go(Path model, List<Stop> way, Path folder) throws IOException {
        List<Stop> stops = new ArrayList<>(way);
        stops.add(BACK);
        Path at = model;
        for (Stop stop : stops) {
            Path output = folder.resolve("%d-%s".formatted(stops.indexOf(stop), stop.to()));
            Request request =
                    new Request(
                            at,
                            Optional.empty(),
                            stop.to(),
                            named(stop.from()),
                            Map.of(),
                            Map.of(),
                            named(stop.spec()),
                            stop.names(),
                            stop.job());
            Conversion.run(
                    Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
            at = output;
        }
        return at;
    }

    private static Optional<String> named(String spec) {
        return Optional.of(spec).filter(s -> !s.isEmpty());
    }
}
