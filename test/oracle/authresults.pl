# Reads header fields as Mail::AuthenticationResults does. authresults.py describes
# the questions and answers.
use strict;
use warnings;
use Encode ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Mail::AuthenticationResults::Parser;

$| = 1;
my $json = JSON::PP->new->utf8;

sub parse { return Mail::AuthenticationResults::Parser->new->parse($_[0]) }

# Breaks lines after 998 octets, as Postfix does when it passes mail on.
sub broken {
    my @lines = split /\r\n/, "Authentication-Results:$_[0]", -1;
    for my $line (@lines) {
        $line = join "\r\n ", unpack '(a998)*', $line if length $line > 998;
    }
    return join("\r\n", @lines) =~ s/^Authentication-Results://r;
}

sub claim {
    my ($octets) = @_;
    my %ids;
    for my $value ($octets, broken($octets)) {
        my @readings = ($value, Encode::decode('UTF-8', $value), Encode::decode('ISO-8859-1', $value));
        push @readings, eval { Encode::decode('MIME-Header', $value) } // ();
        for my $reading (@readings) {
            my $id = eval { parse($reading)->value->value };
            $ids{$id} = 1 if defined $id;
        }
    }
    return [ sort keys %ids ];
}

sub results {
    my $header = parse($_[0]);
    my @methods;
    for my $entry (@{ $header->children }) {
        my %method = (name => $entry->key, result => $entry->value, reason => '', props => []);
        for my $child (@{ $entry->children }) {
            next if ref($child) =~ /::Comment$/;
            if ($child->key eq 'reason') {
                $method{reason} = $child->value;
                next;
            }
            my ($type, $name) = split /\./, $child->key, 2;
            push @{ $method{props} }, [ $type, $name, $child->value ];
        }
        push @methods, \%method;
    }
    return { id => $header->value->value, methods => \@methods };
}

while (my $line = <STDIN>) {
    my $q = $json->decode($line);
    my $answer = eval {
        exists $q->{claim} ? { ids => claim(decode_base64($q->{claim})) } : { results => results(decode_base64($q->{field})) };
    } // { error => "$@" };
    print $json->encode($answer), "\n";
}
