"""All planted errors: one table for each family."""

import mutants_affine
import mutants_gru
import mutants_loss
import mutants_lstm
import mutants_norm
import mutants_rnn
import mutants_sequence

TABLES = (
    mutants_rnn,
    mutants_sequence,
    mutants_lstm,
    mutants_gru,
    mutants_loss,
    mutants_norm,
    mutants_affine,
)
MUTANTS = [mutant for table in TABLES for mutant in table.MUTANTS]
FAMILIES = list({mutant.family.name: mutant.family for mutant in MUTANTS}.values())
