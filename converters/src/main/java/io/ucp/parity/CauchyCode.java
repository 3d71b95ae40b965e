package io.ucp.parity;

import java.util.Arrays;

/// The code of a set: elements `0 .. data - 1` are its members, `data .. data + parity - 1` its
/// parity files. Any `data` elements determine the others.
record CauchyCode(int data, int parity) {
    /// Elements of a set: what the field has room for.
    static final int MOST = 256;

    CauchyCode {
        if (data < 1 || parity < 1 || data + parity > MOST) {
            throw new IllegalArgumentException("%d + %d elements".formatted(data, parity));
        }
    }

    int elements() {
        return data + parity;
    }

    /// What a member's block is multiplied by on its way into parity file `row`.
    static int coefficient(int row, int member) {
        return Field.divide(255 ^ member, 255 ^ member ^ row);
    }

    /// How lost elements are made of others.
    ///
    /// @param lost members and parity files, no more than can be
    /// @param rows the parity files to use, as many as members are lost, none of them lost
    /// @return for each of `lost` a factor for every element; 0 for those that it is not made of
    int[][] recover(int[] lost, int[] rows) {
        int[] members = Arrays.stream(lost).filter(e -> e < data).toArray();
        if (members.length != rows.length) {
            throw new IllegalArgumentException(
                    "%d members of %d parity files".formatted(members.length, rows.length));
        }
        int[][] solved = new int[members.length][];
        int[][] inverse = inverse(members, rows);
        for (int k = 0; k < members.length; k++) {
            solved[k] = solved(inverse[k], members, rows);
        }
        int[][] out = new int[lost.length][];
        int next = 0;
        for (int k = 0; k < lost.length; k++) {
            out[k] = lost[k] < data ? solved[next++] : parity(lost[k] - data, members, solved);
        }
        return out;
    }

    /// A lost member is the given combination of `rows` without what the surviving members add to
    /// them.
    private int[] solved(int[] combination, int[] members, int[] rows) {
        int[] factors = new int[elements()];
        for (int r = 0; r < rows.length; r++) {
            factors[data + rows[r]] = combination[r];
            for (int i = 0; i < data; i++) {
                factors[i] ^= Field.multiply(combination[r], coefficient(rows[r], i));
            }
        }
        for (int member : members) {
            factors[member] = 0;
        }
        return factors;
    }

    /// A lost parity file is the sum over the members, lost ones as they are solved.
    private int[] parity(int row, int[] members, int[][] solved) {
        int[] factors = new int[elements()];
        for (int i = 0; i < data; i++) {
            factors[i] = coefficient(row, i);
        }
        for (int k = 0; k < members.length; k++) {
            int share = factors[members[k]];
            factors[members[k]] = 0;
            for (int e = 0; e < factors.length; e++) {
                factors[e] ^= Field.multiply(share, solved[k][e]);
            }
        }
        return factors;
    }

    /// The inverse of the matrix that takes lost members to what is left of `rows` when the
    /// survivors are taken out. Every square part of a Cauchy matrix has one.
    private static int[][] inverse(int[] members, int[] rows) {
        int n = rows.length;
        int[][] matrix = new int[n][2 * n];
        for (int r = 0; r < n; r++) {
            for (int c = 0; c < n; c++) {
                matrix[r][c] = coefficient(rows[r], members[c]);
            }
            matrix[r][n + r] = 1;
        }
        for (int c = 0; c < n; c++) {
            int pivot = c;
            while (matrix[pivot][c] == 0) {
                pivot++;
            }
            int[] swapped = matrix[pivot];
            matrix[pivot] = matrix[c];
            matrix[c] = swapped;
            int scale = swapped[c];
            for (int k = 0; k < 2 * n; k++) {
                swapped[k] = Field.divide(swapped[k], scale);
            }
            for (int r = 0; r < n; r++) {
                int factor = matrix[r][c];
                if (r != c && factor != 0) {
                    for (int k = 0; k < 2 * n; k++) {
                        matrix[r][k] ^= Field.multiply(factor, swapped[k]);
                    }
                }
            }
        }
        int[][] inverse = new int[n][];
        for (int r = 0; r < n; r++) {
            inverse[r] = Arrays.copyOfRange(matrix[r], n, 2 * n);
        }
        return inverse;
    }
}
