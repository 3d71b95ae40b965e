package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.torch.CarriedValues;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// The `param_groups` of a rank's optimizer: on every rank the same, but for the numbers of the
/// tensors in them (`params`).
///
/// @param file that has them
public record RankGroups(CarriedFile file, List<PickleValue> groups) {
    /// What a group has that is of its rank.
    private static final String OF_RANK = "params";

    /// The first thing that another rank has otherwise, in words that name both files; nothing
    /// where they have the same.
    public Optional<String> unlike(RankGroups other) {
        if (other.groups.size() != groups.size()) {
            return Optional.of(
                    "%d optimizer groups, and %d in %s"
                            .formatted(other.groups.size(), groups.size(), file.path()));
        }
        for (int g = 0; g < groups.size(); g++) {
            PyDict here = groups.get(g).asDict().orElse(PyDict.empty());
            PyDict there = other.groups.get(g).asDict().orElse(PyDict.empty());
            for (PickleValue key : keys(here, there)) {
                if (!key.asText().filter(OF_RANK::equals).isPresent()
                        && !same(here.find(key), other.file, there.find(key))) {
                    return Optional.of(
                            "`%s` of optimizer group %d is %s, and %s in %s"
                                    .formatted(
                                            key.asText().orElse(key.toString()),
                                            g,
                                            text(there.find(key)),
                                            text(here.find(key)),
                                            file.path()));
                }
            }
        }
        return Optional.empty();
    }

    private boolean same(
            Optional<PickleValue> here, CarriedFile other, Optional<PickleValue> there) {
        return here.isPresent()
                && there.isPresent()
                && CarriedValues.same(file, here.get(), other, there.get());
    }

    private static String text(Optional<PickleValue> value) {
        return value.map(PickleValue::toString).orElse("not there");
    }

    private static Set<PickleValue> keys(PyDict here, PyDict there) {
        Set<PickleValue> keys = new LinkedHashSet<>();
        here.entries().forEach(e -> keys.add(e.key()));
        there.entries().forEach(e -> keys.add(e.key()));
        return keys;
    }
}
