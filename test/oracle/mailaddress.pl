# Prints what Perl's Mail::Address shows of From fields. Each line of the input is
# the contents of a field in base64; each line of the output is the addresses, each
# in base64, with spaces between them.
use strict;
use warnings;
use Mail::Address;
use MIME::Base64;

$SIG{__WARN__} = sub { }; # it complains about what it cannot parse

while (my $line = <STDIN>) {
    my $raw = decode_base64($line);
    $raw =~ s/\r?\n(?=[ \t])//g;
    my @shown = eval { grep { defined && length } map { $_->address } Mail::Address->parse($raw) };
    print join(' ', map { encode_base64($_, '') } @shown), "\n";
}
