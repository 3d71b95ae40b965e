package io.ucp.convert;

import io.ucp.bind.Binder;
import io.ucp.bind.ModelFamilies;
import io.ucp.bind.SettingNames;
import io.ucp.bind.Sharding;
import io.ucp.bind.TargetLayout;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Renaming;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.RefusedException;
import io.ucp.lang.Ucl;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// A source, the spec that describes it, and the parameters that follow.
///
/// @param specName the file or bundled name, `inferred` where the spec was made from the
///   checkpoint's own metadata, empty where the source holds every parameter whole
/// @param specText the spec in canonical form, empty with it
/// @param sharding the bound spec, absent where the source holds every parameter whole
/// @param held the parameters as the source names them: what ranks of such a job hold
/// @param renamed the parameters after the renames of the spec that was named, where it has some
/// @param inventory the parameters under the names that were asked for: what forms hold that have
///   each of them whole
public record Described(
        OpenedSource source,
        String specName,
        String specText,
        Optional<Sharding> sharding,
        Inventory held,
        Optional<Inventory> renamed,
        Inventory inventory) {
    /// Opens a source, finds its spec, and places every byte in a parameter.
    ///
    /// @param spec a file or a bundled name, else the checkpoint's own metadata
    public static Described of(
            Path source, Optional<String> from, Optional<String> spec, Map<String, Long> settings)
            throws IOException {
        return of(source, from, spec, settings, Names.AUTO);
    }

    /// As above, with the parameters under the names that are asked for.
    ///
    /// @throws RefusedException where no bundled family, or more than one, has these names
    public static Described of(
            Path source,
            Optional<String> from,
            Optional<String> spec,
            Map<String, Long> settings,
            Names names)
            throws IOException {
        return of(source, from, spec, settings, names, Optional.empty());
    }

    /// The source of a conversion: `--set` may be for the target's spec as well.
    public static Described of(Request request) throws IOException {
        return of(
                request.source(),
                request.from(),
                request.spec(),
                request.settings(),
                request.names(),
                Optional.of(request));
    }

    private static Described of(
            Path source,
            Optional<String> from,
            Optional<String> spec,
            Map<String, Long> settings,
            Names names,
            Optional<Request> request)
            throws IOException {
        OpenedSource opened = OpenedSource.open(source, from);
        CheckpointIndex index = opened.index();
        boolean whole = !index.wholes().isEmpty();
        Set<String> elsewhere =
                settings.isEmpty() ? Set.of() : readElsewhere(names, request, whole);
        if (whole) {
            return SourceNames.whole(opened, spec, settings, names, elsewhere);
        }
        SpecSource found = SpecSource.of(spec, index);
        Set<String> read = SettingNames.of(found.spec());
        Map<String, Long> own = new TreeMap<>(settings);
        own.keySet().removeIf(name -> elsewhere.contains(name) && !read.contains(name));
        Sharding sharding = Binder.bind(found.spec(), index, own);
        String text = Ucl.format(found.spec());
        Inventory held = Assembler.assemble(index, sharding, text);
        Optional<Inventory> renamed =
                sharding.renames().isEmpty()
                        ? Optional.empty()
                        : Optional.of(Renaming.apply(held, sharding.renames()));
        return SourceNames.described(
                new Described(
                        opened, found.name(), text, Optional.of(sharding), held, renamed, held),
                found.bundled(),
                settings,
                names);
    }

    /// What of `--set` something else than the source's spec may read: the target's, or a family.
    ///
    /// @param whole the source holds every parameter whole: where the target does too,
    ///   [WithoutEffect] knows whether a family was asked
    private static Set<String> readElsewhere(Names names, Optional<Request> request, boolean whole)
            throws IOException {
        Set<String> read = new TreeSet<>();
        boolean family = names == Names.HF;
        if (request.isPresent()) {
            Request of = request.get();
            if (of.targetSpec().isPresent()) {
                read.addAll(SettingNames.of(SpecSource.named(of.targetSpec().get()).spec()));
            }
            family |= TargetNames.mayBeOfAFamily(of, Conversion.format(of.to()));
            family |= whole && of.target().isEmpty();
        }
        if (family) {
            read.addAll(ModelFamilies.numbers());
        }
        return read;
    }

    /// An output that ranks of a job are to load, by the layout that it was written by.
    static Described of(Path output, String format, TargetLayout layout) throws IOException {
        OpenedSource opened = OpenedSource.open(output, Optional.of(format));
        CheckpointIndex index = opened.index();
        Sharding sharding = layout.over(index);
        Inventory held = Assembler.assemble(index, sharding, "");
        return new Described(opened, "", "", Optional.of(sharding), held, Optional.empty(), held);
    }

    /// Whether these are the parameters as the source names them: the very inventory, since
    /// comparing two of them costs as much as making one.
    @SuppressWarnings("ReferenceEquality")
    boolean isHeld(Inventory other) {
        return other == held;
    }
}
