"""The built-in functions that SQL of a model may call, by engine; everything else is refused, known or not.

PostgreSQL's list holds functions of `pg_catalog` that compute from their arguments: immutable ones, stable ones that
read nothing but the clock, and three volatile ones. What executes a string (`query_to_xml`, `ts_stat`, `ts_rewrite`),
reads a file, a setting, a catalog or a large object, locks, sleeps, signals or writes is absent on purpose. SQLite's
list is the same idea. `functions:` in the manifest adds to it, by name and at the operator's risk.
"""

from __future__ import annotations

POSTGRESQL = frozenset(
    # numbers
    """abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd
    degrees div erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi pow power radians
    random round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket num_nonnulls num_nulls
    """  # text
    """ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to
    crc32 crc32c decode encode format initcap is_normalized left length like like_escape lower lpad ltrim md5 normalize
    octet_length overlay parse_ident position quote_ident quote_literal quote_nullable regexp_count regexp_instr
    regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
    repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 similar_to_escape split_part starts_with
    string_to_array string_to_table strpos substr substring to_ascii to_bin to_hex to_oct translate unistr upper
    bit_count get_bit get_byte set_bit set_byte
    """  # dates
    """age clock_timestamp date date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days
    justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps
    statement_timestamp timezone to_char to_date to_number to_timestamp transaction_timestamp
    """  # aggregates and windows
    """any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist
    dense_rank every first_value json_agg json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique
    json_object_agg_unique_strict jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict
    jsonb_object_agg_unique jsonb_object_agg_unique_strict lag last_value lead max min mode nth_value ntile
    percent_rank percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number stddev stddev_pop stddev_samp string_agg
    sum var_pop var_samp variance
    """  # arrays, rows, sets
    """array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_reverse array_sort array_to_json array_to_string array_upper
    cardinality generate_series generate_subscripts trim_array unnest enum_first enum_last enum_range pg_typeof
    """  # json
    """json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_populate_record
    json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists
    jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
    jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
    jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb
    """  # ranges, networks, text search, uuid
    """daterange int4range int8range numrange tsrange tstzrange datemultirange int4multirange int8multirange
    nummultirange tsmultirange tstzmultirange isempty lower_inc lower_inf upper_inc upper_inf multirange range_merge
    abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen
    array_to_tsvector numnode phraseto_tsquery plainto_tsquery setweight strip to_tsquery to_tsvector ts_delete
    ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array websearch_to_tsquery
    gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7
    """.split()
)  # fmt: skip

# Functions whose result grows with a number among their arguments: that number is to be written out, and small.
GROWING = frozenset({"repeat", "lpad", "rpad", "array_fill"})

SQLITE = frozenset(
    """abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos cosh count
    cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor format
    glob group_concat hex ifnull iif instr json json_array json_array_length json_each json_error_position json_extract
    json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
    json_replace json_set json_tree json_type json_valid -> ->> julianday lag last_value lead length like likelihood
    likely ln log log10 log2 lower ltrim max min mod nth_value ntile nullif octet_length percent_rank pi pow power
    printf quote radians random rank replace round row_number rtrim sign sin sinh sqrt strftime string_agg substr
    substring sum tan tanh time timediff total trim trunc typeof unhex unicode unixepoch unlikely upper
    """.split()
)  # fmt: skip

# Types a cast may name; those that resolve names in the catalog (`regclass`) or show internals are refused.
REFUSED_TYPES = frozenset("aclitem cid gtsvector oidvector refcursor tid txid_snapshot xid xid8 xml".split())
