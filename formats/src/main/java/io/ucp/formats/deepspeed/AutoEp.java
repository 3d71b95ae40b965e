package io.ucp.formats.deepspeed;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the model states say of the layers whose experts AutoEP fused: `w1`, `w2` and `w3` of all
/// experts that a rank has are a tensor each, the expert along its dimension 0. Outside ZeRO 3 a
/// file an expert holds its rows as `<prefix>.w1.E`.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`), `moe/ep_experts.py`
/// (`GroupedExperts`), `checkpoint/autoep_zero3_metadata.py`.
///
/// @param layers by the prefix of their names, `model.layers.0.mlp.experts`
record AutoEp(Map<String, Layer> layers) {
    private static final List<String> KEYS = List.of("ds_autoep_layers", "autoep_layers");
    private static final Pattern ROWS = Pattern.compile("(.+)\\.(w[123])\\.(\\d{1,9})");

    /// @param experts of all ranks
    /// @param local of one rank
    record Layer(long experts, long local) {}

    /// One expert's rows.
    ///
    /// @param name of the fused tensor
    /// @param shape of it on one rank
    /// @param rank expert-parallel rank that has it
    /// @param from first element of it in that rank's tensor
    record Rows(String name, Shape shape, int rank, long from) {}

    /// @throws MalformedFileException where the list contradicts itself
    static AutoEp of(ModelStates model) throws MalformedFileException, RefusedException {
        Map<String, Layer> layers = new LinkedHashMap<>();
        CheckpointFile file = model.file();
        for (PickleValue entry : listed(file.root())) {
            Optional<String> prefix = entry.find("expert_key_prefix").flatMap(PickleValue::asText);
            long experts = number(entry, "num_experts");
            long local = number(entry, "num_local_experts");
            long ranks = number(entry, "ep_size");
            if (prefix.isEmpty()
                    || local < 1
                    || ranks < 1
                    || experts / ranks != local
                    || experts % ranks != 0
                    || layers.put(prefix.get(), new Layer(experts, local)) != null) {
                throw file.malformed(
                        "`ds_autoep_layers` has %s of %d experts, %d on each of %d ranks"
                                .formatted(prefix.orElse("a layer"), experts, local, ranks),
                        "each layer once, its experts in equal parts over the ranks");
            }
        }
        if (!layers.isEmpty() && file.root().find("folding").filter(f -> !f.isNone()).isPresent()) {
            throw new RefusedException(
                    file.label(),
                    "experts of AutoEP over tensor-parallel ranks (`folding`)",
                    "a job of one tensor-parallel rank",
                    "DeepSpeed loads it at its own degrees only, and converts it neither");
        }
        return new AutoEp(layers);
    }

    private static List<PickleValue> listed(PickleValue root) {
        List<PickleValue> all = new ArrayList<>();
        for (String key : KEYS) {
            if (all.isEmpty()) {
                all.addAll(root.find(key).flatMap(PickleValue::asSequence).orElse(List.of()));
            }
        }
        return all;
    }

    private static long number(PickleValue entry, String key) {
        return entry.find(key).map(PickleValue::asLong).orElse(OptionalLong.empty()).orElse(-1);
    }

    /// What a tensor of an expert's file is of; nothing where no layer is listed that it is of.
    ///
    /// @throws MalformedFileException where the layer has no such expert
    Optional<Rows> rows(CheckpointFile file, String name, TensorEntry tensor)
            throws MalformedFileException {
        Matcher m = ROWS.matcher(name);
        Layer layer = m.matches() ? layers.get(m.group(1)) : null;
        if (layer == null) {
            return Optional.empty();
        }
        int number = Integer.parseInt(m.group(3));
        Shape one = tensor.shape();
        boolean own = file.name() instanceof FileName.Expert e && e.expert() == number;
        if (!own || number >= layer.experts() || one.rank() != 2) {
            throw file.malformed(
                    "%s of the shape %s".formatted(name, one),
                    "two dimensions of the expert that the file is named by, one of %d"
                            .formatted(layer.experts()));
        }
        return Optional.of(
                new Rows(
                        m.group(1) + "." + m.group(2),
                        Shape.of(layer.local(), one.dim(0), one.dim(1)),
                        Math.toIntExact(number / layer.local()),
                        number % layer.local() * one.count()));
    }
}
