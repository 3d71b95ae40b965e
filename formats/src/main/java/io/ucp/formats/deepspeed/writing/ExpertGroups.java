package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Optimizer groups of experts. DeepSpeed takes the experts out of every group that the script made
/// and splits them where a rank would hold more than [#MOST] elements: where ranks hold other
/// experts than before, what was split is joined and split anew.
///
/// Source: DeepSpeed `moe/utils.py` (`split_params_into_different_moe_groups_for_optimizer`).
final class ExpertGroups {
    /// `max_group_size`.
    private static final long MOST = 178_956_971;

    private final OptimizerModel model;
    private final FlatOrder order;
    private final boolean unchanged;

    /// Source's group -> the first of those that were split from one.
    private final List<Integer> firsts = new ArrayList<>();

    /// @param source number of the optimizer group in the source whose hyperparameters these have
    record Members(int source, List<Held> members) {}

    /// @param unchanged every rank holds as many experts, of the same sizes, as in the source
    /// @param dealt the source's parameters took turns over its data-parallel ranks
    ExpertGroups(OptimizerModel model, SourceFiles source, boolean unchanged, boolean dealt) {
        this.model = model;
        this.unchanged = unchanged;
        this.order =
                new FlatOrder(
                        source,
                        g ->
                                !dealt
                                        ? 1
                                        : g < model.paramGroups().size()
                                                        && isExpert(model.paramGroups().get(g))
                                                ? source.expertReplicas()
                                                : source.ranks().dp());
        for (int g = 0; g < model.paramGroups().size(); g++) {
            firsts.add(g > 0 && wasSplit(source, g) ? firsts.getLast() : g);
        }
    }

    /// The group holds experts, by the mark that the optimizer keeps.
    static boolean isExpert(PickleValue paramGroup) {
        return paramGroup.find("moe").filter(new PyBool(true)::equals).isPresent();
    }

    /// Whether group `g` begins where the one before was full.
    private boolean wasSplit(SourceFiles source, int g) {
        PickleValue own = model.paramGroups().get(g);
        PickleValue before = model.paramGroups().get(g - 1);
        return isExpert(own)
                && without(own).equals(without(before))
                && source.models().stream().anyMatch(file -> overflows(file, g));
    }

    private static Optional<PyDict> without(PickleValue paramGroup) {
        return paramGroup.asDict().map(d -> d.without("params"));
    }

    private static boolean overflows(CarriedFile file, int g) {
        List<PickleValue> shapes =
                file.root()
                        .flatMap(r -> r.find("param_shapes"))
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of());
        if (g >= shapes.size()) {
            return false;
        }
        long before = counts(shapes.get(g - 1)).stream().mapToLong(Long::longValue).sum();
        List<Long> own = counts(shapes.get(g));
        return !own.isEmpty() && before + own.getFirst() > MOST;
    }

    private static List<Long> counts(PickleValue shapes) {
        return shapes.asDict().map(PyDict::entries).orElse(List.of()).stream()
                .map(
                        e ->
                                e.value().asSequence().orElse(List.of()).stream()
                                        .mapToLong(d -> d.asLong().orElse(0))
                                        .reduce(1, Math::multiplyExact))
                .toList();
    }

    /// The groups of an expert-parallel rank, in order.
    List<Members> of(RankHoldings holdings, int mp, int expertRank) {
        Map<Integer, List<Held>> groups =
                holdings.groups(
                        mp, expertRank, g -> unchanged || g >= firsts.size() ? g : firsts.get(g));
        List<Members> all = new ArrayList<>();
        groups.forEach(
                (source, held) -> {
                    List<Held> members = order.of(held);
                    if (unchanged || !members.getFirst().expert()) {
                        all.add(new Members(source, members));
                    } else {
                        split(members).forEach(part -> all.add(new Members(source, part)));
                    }
                });
        return all;
    }

    private static List<List<Held>> split(List<Held> members) {
        List<List<Held>> all = new ArrayList<>();
        List<Held> open = new ArrayList<>();
        long held = 0;
        for (Held member : members) {
            if (!open.isEmpty() && held + member.count() > MOST) {
                all.add(List.copyOf(open));
                open.clear();
                held = 0;
            }
            open.add(member);
            held += member.count();
        }
        all.add(List.copyOf(open));
        return all;
    }
}
