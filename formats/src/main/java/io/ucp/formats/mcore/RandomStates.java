package io.ucp.formats.mcore;

import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyList;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What becomes of the states of random generators: every rank keeps its own, all get the first
/// one's, or none has any. A list has one entry, or one for each data-parallel rank
/// (`--data-parallel-random-init`).
///
/// Source: Megatron-LM `training/checkpointing.py` (`get_rng_state`, `load_checkpoint`).
public enum RandomStates {
    KEEP,
    SPREAD,
    DROP;

    private static final String KEY = "rng_state";

    public static RandomStates of(String option) {
        return switch (option) {
            case "keep" -> KEEP;
            case "spread" -> SPREAD;
            case "drop" -> DROP;
            default ->
                    throw new RefusedException(
                            "rng", option, "keep, spread or drop", "choose one of them");
        };
    }

    /// @param donor of the target's rank, in whose file the tensors are
    public Optional<PickleValue> of(SourceModel source, SourceModel.Rank donor, Grid grid) {
        Optional<PickleValue> held = donor.root().find(KEY);
        if (this == DROP || held.isEmpty()) {
            return Optional.empty();
        }
        List<PickleValue> each = held.get().asSequence().orElse(List.of());
        if (each.size() < 2 || grid.dp() == source.grid().dp()) {
            return held;
        }
        List<PickleValue> ranks = new ArrayList<>();
        for (int dp = 0; dp < grid.dp(); dp++) {
            ranks.add(each.get(dp % each.size()));
        }
        return Optional.of(PyList.of(ranks));
    }

    public void tell(SourceModel source, Grid grid, List<String> notes, List<String> losses) {
        if (source.first().root().find(KEY).isEmpty()) {
            return;
        }
        if (this == DROP) {
            losses.add("states of random generators (--rng drop): Megatron-LM needs --no-load-rng");
        } else if (source.grid().tp() != grid.tp()
                || source.grid().pp() != grid.pp()
                || source.grid().ep() != grid.ep()) {
            notes.add(
                    this == SPREAD
                            ? "random generators of every rank begin as the first rank's"
                            : "random generators of ranks that the source does not have begin as"
                                    + " those of the ranks at the same place modulo its degrees"
                                    + " (--rng spread, --rng drop)");
        }
    }
}
