package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;

/// The order in which the optimizer was given its parameters, which is not the model's where the
/// training script had another: that of the source's `param_shapes`, stage after stage.
final class FlatOrder {
    private final Map<String, Integer> positions = new HashMap<>();

    /// @param dealt to how many ranks the source dealt a group's parameters, 1 for none
    FlatOrder(SourceFiles source, IntUnaryOperator dealt) {
        for (CarriedFile file : source.models()) {
            List<PickleValue> groups =
                    file.root()
                            .flatMap(r -> r.find("param_shapes"))
                            .flatMap(PickleValue::asSequence)
                            .orElse(List.of());
            for (int g = 0; g < groups.size(); g++) {
                List<String> names =
                        groups.get(g).asDict().map(PyDict::entries).orElse(List.of()).stream()
                                .flatMap(e -> e.key().asText().stream())
                                .toList();
                RoundRobin.undone(names, dealt.applyAsInt(g))
                        .forEach(name -> positions.putIfAbsent(name, positions.size()));
            }
        }
    }

    /// @param members of a group, in the model's order
    List<Held> of(List<Held> members) {
        boolean known = members.stream().allMatch(m -> positions.containsKey(m.name()));
        if (known) {
            return members.stream().sorted(Comparator.comparingInt(this::position)).toList();
        }
        int last = -1;
        for (Held member : members) {
            int position = position(member);
            if (position >= 0 && position < last) {
                throw new RefusedException(
                        member.facts().name(),
                        "the optimizer was given it in another order than the model's, and others"
                                + " of its group are new on this rank",
                        "parameters in the model's order, or ranks that hold as many experts",
                        "leave --ep as it is in the source");
            }
            last = Math.max(last, position);
        }
        return members;
    }

    private int position(Held member) {
        return positions.getOrDefault(member.name(), -1);
    }
}
